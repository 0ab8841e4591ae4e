package cli

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// resident is what the process's own file takes of its memory, in kB.
func resident(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss_File:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no Pss_File in smaps_rollup")
	return 0
}

func TestTrimGivesBackWhatStartingTook(t *testing.T) {
	before := resident(t)
	trim()
	if after := resident(t); after > before*3/4 {
		t.Errorf("%d kB of the program's file are resident after trim, %d before: nothing was given back", after, before)
	}
}

// Only the program's own file, and only what nobody writes to.
func TestOwnPages(t *testing.T) {
	for line, want := range map[string]bool{
		"400000-401000 r--p 00000000 fe:00 12 /bin/self":        true,
		"400000-401000 r-xp 00000000 fe:00 12 /bin/self":        true,
		"400000-401000 rw-p 00000000 fe:00 12 /bin/self":        false,
		"400000-401000 ---p 00000000 fe:00 12 /bin/self":        false,
		"400000-401000 r--p 00000000 fe:00 12 /lib/other":       false,
		"400000-401000 r--p 00000000 fe:00 12 /other/bin/self2": false,
		"400000-401000 r--p 00000000 00:00 0":                   false,
		"401000-400000 r--p 00000000 fe:00 12 /bin/self":        false,
		"zz-401000 r--p 00000000 fe:00 12 /bin/self":            false,
		"": false,
	} {
		if _, _, ok := ownPages(line, "/bin/self"); ok != want {
			t.Errorf("ownPages(%q) says %v, want %v", line, ok, want)
		}
	}
}
