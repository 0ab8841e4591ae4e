package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/shoal-ci/shoal/internal/cli"
)

// writeManual writes man/shoal.1.gz, man/shoal-config-show.1.gz and so on.
func writeManual(o options) error {
	return o.writePages(cli.Commands())
}

func (o options) writePages(cmd *cobra.Command) error {
	cmd.DisableAutoGenTag = true // it has today's date in it
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var page bytes.Buffer
	header := doc.GenManHeader{Section: "1", Date: &o.made, Source: footer(o.version), Manual: "Shoal"}
	if err := doc.GenMan(cmd, &header, &page); err != nil {
		return fmt.Errorf("write the page of %s: %w", name, err)
	}
	packed, err := compress(page.Bytes())
	if err != nil {
		return fmt.Errorf("compress the page of %s: %w", name, err)
	}
	if err := o.write("man/"+name+".1.gz", packed); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := o.writePages(sub); err != nil {
			return err
		}
	}
	return nil
}

// commit is what packaging/version.sh appends to a version for a build between
// two releases.
var commit = regexp.MustCompile(`\.g?[0-9a-f]{7,40}(\+dirty)?$`)

// footer is the version without the commit: with it the line at a page's foot
// would run into its date. "shoal version" tells it whole.
func footer(version string) string { return "shoal " + commit.ReplaceAllString(version, "") }
