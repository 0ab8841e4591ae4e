package main

import (
	"bytes"
	"fmt"
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
	header := doc.GenManHeader{Section: "1", Date: &o.made, Source: "shoal " + o.version, Manual: "Shoal"}
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
