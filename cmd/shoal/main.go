// Command shoal makes GitLab Runner fleets on EC2 Auto Scaling groups run
// themselves. Everything it does is in package cli.
package main

import (
	"os"

	"github.com/shoal-ci/shoal/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
