package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/shoal-ci/shoal/internal/cli"
)

// writeCompletions writes completion/shoal.bash, _shoal for zsh and shoal.fish.
func writeCompletions(o options) error {
	root := cli.Commands()
	for name, write := range map[string]func(io.Writer) error{
		"shoal.bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_shoal":     root.GenZshCompletion,
		"shoal.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			return fmt.Errorf("write the completion %s: %w", name, err)
		}
		if err := o.write("completion/"+name, text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
