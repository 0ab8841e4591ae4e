package capacity

import "strings"

// Settings are a policy's options as they were asked for, by name, in their order.
func (with Policy) Settings() [][2]string {
	_, rest, _ := strings.Cut(with.Spec, ":")
	var all [][2]string
	for pair := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case ok:
			all = append(all, [2]string{name, value})
		case len(all) > 0: // a comma in the value before it, as cron has them
			all[len(all)-1][1] += "," + pair
		}
	}
	return all
}
