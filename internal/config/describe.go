package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// longestShown is how much of a wrong value an error repeats: enough to find
// it, not so much that a pasted file fills the terminal.
const longestShown = 60

// tokenLike matches what GitLab's tokens and AWS' keys look like, so that one
// pasted in a wrong place is not repeated in an error.
var tokenLike = regexp.MustCompile(`(?i)gl[a-z]{1,10}-|GR1348941|AKIA|ASIA|-----BEGIN`)

// describe shows a value as an error repeats it.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return describeText(v)
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return fmt.Sprintf("%d (an integer)", v)
	case float64:
		return fmt.Sprintf("%g (a number)", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time" // all that TOML has left
}

func describeText(s string) string {
	if tokenLike.MatchString(s) {
		return "what looks like a token (not shown)"
	}
	if len(s) > longestShown {
		return strconv.Quote(strings.ToValidUTF8(s[:longestShown], "")) + "…"
	}
	return strconv.Quote(s)
}

// literal writes a value as TOML has it.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = quote(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// quote writes a TOML basic string. TOML knows fewer escapes than Go.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// short writes a duration without the zeroes that String appends: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
