package gitlab

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// maxMessage is the most of GitLab's words that go into an error.
	maxMessage = 300
	// maxDepth bounds how deep a message may be nested.
	maxDepth = 8
	// maxRetryAfter is the longest wait that a server can impose. A launch hook has
	// some minutes; who is told to wait longer should try once more and be told again.
	maxRetryAfter = 5 * time.Minute
)

// message is what GitLab says in an error's body: {"message": …}, where … is a
// text, a list, or an object of lists by field; {"error": …, "error_description": …}.
func message(body []byte) string {
	var raw any
	if json.Unmarshal(body, &raw) != nil {
		return ""
	}
	return flatten(raw, 0)
}

func flatten(raw any, depth int) string {
	if depth > maxDepth {
		return "…"
	}
	switch x := raw.(type) {
	case string:
		return x
	case []any:
		var parts []string
		for _, v := range x {
			parts = append(parts, flatten(v, depth+1))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		return flattenMap(x, depth)
	case float64, bool:
		b, _ := json.Marshal(x) // a number or a truth value always can be
		return string(b)
	}
	return ""
}

func flattenMap(x map[string]any, depth int) string {
	keys := make([]string, 0, len(x))
	for k := range x {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var parts []string
	for _, k := range keys {
		text := flatten(x[k], depth+1)
		switch k {
		case "message", "error", "base", "error_description":
		default:
			text = k + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// secrets is what GitLab's tokens look like, whoever's they are and whatever
// stands before them.
var secrets = regexp.MustCompile(`(gl[a-z]{1,6}-|GR1348941)[A-Za-z0-9_.=-]{16,}`)

// scrub takes tokens out of a text, makes it one line and bounds it.
func (q *question) scrub(s string) string {
	if t := q.token.Reveal(); t != "" {
		s = strings.ReplaceAll(s, t, "[secret]")
	}
	s = secrets.ReplaceAllString(s, "[secret]")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return s
}

// retryAfter is how long the server asks to wait, in seconds or until a date; 0
// when it does not say.
func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second //nolint:gosec // 31 bits
	} else if at, err := http.ParseTime(v); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// untilReset is how long until GitLab's count of requests begins anew: what tells it
// where there is no Retry-After.
func untilReset(h http.Header) time.Duration {
	at, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0
	}
	return min(max(time.Until(time.Unix(at, 0)), 0), maxRetryAfter)
}
