// Command tally reads what "go test -json" prints, shows it as people read it,
// and in the end says loudly what was left out and why, and which core package
// has too little of it covered.
//
// It guarantees exit 1 when a test failed, when a gated package is covered too
// little, or when with -strict anything was left out but what -may names.
// Running the tests is left to the caller.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	o := options{out: os.Stdout}
	var gate, may, leftOut string
	flag.StringVar(&gate, "gate", "", "packages (ends of their import paths, with commas) that need -least covered")
	flag.StringVar(&o.profile, "profile", "", "the coverage profile that the tests wrote")
	flag.Float64Var(&o.least, "least", 90, "least coverage of those, in percent")
	flag.BoolVar(&o.strict, "strict", false, "leaving a test out is failing")
	flag.StringVar(&may, "may", "$^", "regular expression: reasons for which a test may be left out even so")
	flag.StringVar(&leftOut, "left-out", "", "what the caller left out, and why")
	flag.Parse()
	if gate != "" {
		o.gate = strings.Split(gate, ",")
	}
	o.may = regexp.MustCompile(may)
	if leftOut != "" {
		o.leftOut = []string{leftOut}
	}
	os.Exit(run(os.Stdin, o))
}

// options is what a tally is held to.
type options struct {
	out     io.Writer
	gate    []string
	profile string
	least   float64
	strict  bool
	may     *regexp.Regexp
	leftOut []string
}

func run(in io.Reader, o options) int {
	t := newTally(o)
	if err := t.read(in); err != nil {
		_, _ = fmt.Fprintln(o.out, "tally:", err)
		return 1
	}
	return t.close()
}
