package cli

import "errors"

// refused gives a program its object also where nothing was begun, for a mistake
// in the configuration or the flags: object puts the command's own fields beside
// what every verb tells. The mistake is told on stderr as well, as ever.
func (c *call) refused(name string, asJSON bool, err error, object func(result) any) error {
	var e *commandError
	if !asJSON || !errors.As(err, &e) {
		return err
	}
	r := result{Verb: name, Exit: int(e.code), Summary: e.Error(), Decisions: []decision{}}
	if failed := c.printJSON(object(r)); failed != nil {
		return failed
	}
	return err
}
