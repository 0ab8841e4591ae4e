package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// maintainer is who the packages name; nfpm.yaml names the same.
const maintainer = "Shoal maintainers <shoal-ci@users.noreply.github.com>"

// writeChangelog writes doc/changelog.gz in Debian's form: one entry, what the
// newest section of CHANGELOG.md says.
func writeChangelog(o options) error {
	data, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	changes := newest(string(data))
	if len(changes) == 0 {
		return errors.New("CHANGELOG.md: no change is listed below its first heading")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "shoal (%s) unstable; urgency=medium\n\n", o.version)
	for _, change := range changes {
		fmt.Fprintf(&b, "  * %s\n", change)
	}
	fmt.Fprintf(&b, "\n -- %s  %s\n", maintainer, o.made.Format(time.RFC1123Z))
	packed, err := compress(b.Bytes())
	if err != nil {
		return err
	}
	return o.write("doc/changelog.gz", packed)
}

// newest returns the points below the first heading of a version, each broken
// into lines as Debian's tools expect them.
func newest(text string) []string {
	var changes []string
	_, section, _ := strings.Cut(text, "\n## ")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		point, ok := strings.CutPrefix(strings.TrimSpace(line), "- ")
		switch {
		case ok:
			changes = append(changes, wrap(point))
		case len(changes) > 0 && strings.HasPrefix(line, "  "): // a point goes on
			last := strings.Join(strings.Fields(changes[len(changes)-1]), " ")
			changes[len(changes)-1] = wrap(last + " " + strings.TrimSpace(line))
		}
	}
	return changes
}

// wrap breaks a point into lines of at most 76 characters.
func wrap(point string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(point) {
		switch {
		case width == 0:
		case width+1+len(word) > 72:
			b.WriteString("\n    ")
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}
