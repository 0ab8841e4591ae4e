package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

func TestBar(t *testing.T) {
	for _, c := range []struct {
		share   float64
		letters int
		want    string
	}{
		{1, 4, "████"},
		{0.5, 4, "██  "},
		{0.53, 4, "██▏ "},
		{0, 4, "    "},
		{0.0001, 4, "▏   "},
		{0.99, 2, "██"},
		{-1, 3, "   "},
		{0, 1, "▁"},
		{0.5, 1, "▅"},
		{1, 1, "█"},
		{-1, 1, " "},
	} {
		if got := bar(c.share, c.letters); got != c.want {
			t.Errorf("%g of %d letters: %q, want %q", c.share, c.letters, got, c.want)
		}
	}
}

// TestBarsFit: bars take what a terminal leaves, and never make a line longer than it
// but for one letter each.
func TestBarsFit(t *testing.T) {
	results := []capacity.Result{
		{Policy: "shoal", Jobs: 9, Wait: capacity.Wait{Mean: 10}, InstanceHours: 50},
		{Policy: "original", Jobs: 9, Wait: capacity.Wait{Mean: 20}, InstanceHours: 100},
	}
	lines := func(l look) []string {
		var b bytes.Buffer
		if err := printComparison(&b, l, results); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(b.String()), "\n")[2:]
	}
	longest := func(all []string) (n int) {
		for _, line := range all {
			n = max(n, utf8.RuneCountInString(line))
		}
		return n
	}
	plain := lines(look{})
	if text := strings.Join(plain, "\n"); strings.ContainsAny(text, "▁▂▃▄▅▆▇█▏") {
		t.Errorf("there are bars in plain text:\n%s", text)
	}
	for _, width := range []int{0, 40, 100, 110, 120, 300} {
		got := lines(look{bars: true, width: width})
		if n := longest(got); width > longest(plain)+2 && n > width || n > longest(plain)+2*longestBar {
			t.Errorf("a terminal of %d: a line of %d\n%s", width, n, strings.Join(got, "\n"))
		}
		half, whole := strings.Count(got[1], "█"), strings.Count(got[2], "█")
		if width == 300 && (half != longestBar || whole != 2*longestBar) || width == 40 && (!strings.Contains(got[1], "▅") || whole != 2) {
			t.Errorf("a terminal of %d: half is %d letters, all is %d\n%s", width, half, whole, strings.Join(got, "\n"))
		}
	}
}

func TestBlocksNeedTheirLetters(t *testing.T) {
	for want, all := range map[bool][][]string{
		true:  {{"LANG=en_GB.UTF-8"}, {"LC_ALL=C.utf8", "LANG=C"}, {"LC_ALL=", "LC_CTYPE=C.UTF-8", "TERM=xterm"}},
		false: {{}, {"LANG=C"}, {"LC_ALL=C", "LANG=en_GB.UTF-8"}, {"LANG=de_DE.ISO-8859-1"}, {"LANG=C.UTF-8", "TERM=dumb"}},
	} {
		for _, environ := range all {
			if got := hasBlocks(environ); got != want {
				t.Errorf("%q: %t", environ, got)
			}
		}
	}
}
