package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built (-ldflags "-X …/cli.version=v1.2.3").
var version = ""

// build is what this binary is.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (c *call) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		GroupID: groupHuman,
		Short:   "Print the version",
		Example: `  shoal version
  shoal version --json | jq -r .version`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if asJSON {
				return c.printJSON(b)
			}
			_, err := fmt.Fprint(c.Stdout, b.text())
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// versionFlag gives the program the --version that people try first. cobra would
// give it -v for short, which elsewhere is for verbose.
func versionFlag(root *cobra.Command) {
	b := thisBuild()
	root.Version = b.title()
	root.Flags().Bool("version", false, "print the version")
	root.SetVersionTemplate(b.text())
}

// thisBuild asks the binary itself.
func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// title is the version with the commit behind it.
func (b build) title() string {
	if b.Commit == "" {
		return b.Version
	}
	mark := ""
	if b.Modified {
		mark = ", with changes"
	}
	return fmt.Sprintf("%s (commit %.12s%s)", b.Version, b.Commit, mark)
}

// text is what a person gets.
func (b build) text() string { return fmt.Sprintf("shoal %s\n%s %s\n", b.title(), b.Go, b.Platform) }
