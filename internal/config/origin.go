package config

import "strconv"

// Origin is where a value came from.
type Origin struct {
	File     string // path of the file; empty when it is not from one
	Line     int    // counted from 1; 0 when it is not known
	Variable string // name of the variable; empty when it is not from one
}

// String is "default", "/etc/shoal/shoal.toml:12" or "env SHOAL_LOG_LEVEL".
func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return "env " + o.Variable
	case o.File != "" && o.Line > 0:
		return o.File + ":" + strconv.Itoa(o.Line)
	case o.File != "":
		return o.File
	}
	return "default"
}
