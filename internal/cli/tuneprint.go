package cli

import "github.com/shoal-ci/shoal/internal/simulate/tune"

func (c *call) printTuned(o tune.Outcome, f tuneFlags) error { return c.printJSON(o) }
