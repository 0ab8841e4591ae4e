package main

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// coverage is how much of each package's statements some test ran.
type coverage map[string]*counted

// counted is a package's blocks. A profile names each once for every test
// binary: it is covered if any of them ran it.
type counted struct {
	statements map[string]int
	run        map[string]bool
}

// readCoverage reads what -coverprofile wrote.
func readCoverage(in io.Reader) (coverage, error) {
	c := coverage{}
	s := bufio.NewScanner(in)
	for s.Scan() {
		if line := s.Text(); !strings.HasPrefix(line, "mode:") {
			if err := c.add(line); err != nil {
				return nil, err
			}
		}
	}
	return c, s.Err()
}

// add takes a line in: "module/package/file.go:1.2,3.4 statements count".
func (c coverage) add(line string) error {
	f := strings.Fields(line)
	if len(f) != 3 {
		return fmt.Errorf("read coverage profile: %q is no line of one", line)
	}
	statements, err := strconv.Atoi(f[1])
	if err != nil {
		return fmt.Errorf("read coverage profile: %w", err)
	}
	dir := path.Dir(f[0][:max(0, strings.LastIndex(f[0], ":"))])
	if c[dir] == nil {
		c[dir] = &counted{statements: map[string]int{}, run: map[string]bool{}}
	}
	c[dir].statements[f[0]] = statements
	c[dir].run[f[0]] = c[dir].run[f[0]] || f[2] != "0"
	return nil
}

// percent is the coverage of the package whose import path ends in name, and
// whether it was measured.
func (c coverage) percent(name string) (float64, bool) {
	for dir, p := range c {
		if dir == name || strings.HasSuffix(dir, "/"+name) {
			return p.percent(), true
		}
	}
	return 0, false
}

func (p *counted) percent() float64 {
	all, run := 0, 0
	for block, n := range p.statements {
		all += n
		if p.run[block] {
			run += n
		}
	}
	return 100 * float64(run) / float64(max(all, 1))
}
