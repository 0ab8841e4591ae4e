package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// kind is how the values of one sort are read, checked and written.
type kind[T any] struct {
	allowed  string
	required bool
	secret   bool
	from     func(any) (T, bool)      // from a TOML value
	parse    func(string) (any, bool) // from a variable's text to a TOML value
	check    func(T) string           // what it got, when the value is not allowed
	value    func(T) any              // string, int64, bool or []string
	zero     func(T) bool
}

// The kinds that stand alone.
var (
	boolean = kind[bool]{
		allowed: "true or false",
		from:    as[bool], parse: parseBool, check: anything[bool],
		value: func(b bool) any { return b },
		zero:  func(b bool) bool { return !b },
	}
	notNegative = kind[int64]{
		allowed: "an integer, 0 or more",
		from:    as[int64], parse: parseInt,
		check: func(n int64) string { return gotIf(n < 0, n) },
		value: func(n int64) any { return n },
		zero:  func(n int64) bool { return n == 0 },
	}
	percent = kind[int64]{
		allowed: "an integer from 1 to 100, in per cent",
		from:    as[int64], parse: parseInt,
		check: func(n int64) string { return gotIf(n < 1 || n > 100, n) },
		value: func(n int64) any { return n },
		zero:  func(n int64) bool { return n == 0 },
	}
	tags = kind[[]string]{
		allowed: `a list of tags such as ["linux", "docker"], none empty, twice or with a comma`,
		from:    asList, parse: parseList, check: checkTags,
		value: listed,
		zero:  func(l []string) bool { return len(l) == 0 },
	}
	groups = kind[[]string]{
		allowed: `a list of names such as ["ci", "ci-arm"], each on one line of at most 255 bytes, none empty or twice`,
		from:    asList, parse: parseList, check: checkGroups,
		value: listed,
		zero:  func(l []string) bool { return len(l) == 0 },
	}
	jobGroups = kind[[]string]{
		allowed: "a list of " + fleet.JobGroupForm + "; each group once",
		from:    asList, parse: parseJobGroups, check: checkJobGroups,
		value: listed,
		zero:  func(l []string) bool { return len(l) == 0 },
	}
	secrets = kind[[]string]{
		allowed: "a list of references to secrets: " + secretForms,
		secret:  true,
		from:    asList, parse: parseList, check: checkSecrets,
		value: listed,
		zero:  func(l []string) bool { return len(l) == 0 },
	}
	spares = kind[[]string]{
		allowed: `a list such as ["6 * 8-18 * * mon-fri"]: slots from 0 to 1000000, and minute, hour, day of the month, month and day of the week, or nothing for always`,
		from:    asList, parse: parsePolicies, check: checkSpares,
		value: listed,
		zero:  func(l []string) bool { return len(l) == 0 },
	}
	timeZone = text(`a time zone such as "UTC" or "Europe/Berlin"`, func(s string) string {
		_, err := time.LoadLocation(s)
		return gotIf(err != nil || s == "", s)
	})
	optionalSecret = func() kind[Secret] {
		k := unlessZero(secret)
		k.allowed += ", or empty"
		return k
	}()
	secret = kind[Secret]{
		allowed: "a reference to a secret: " + secretForms,
		secret:  true,
		from:    func(v any) (Secret, bool) { s, ok := v.(string); return Secret{s}, ok },
		parse:   parseText, check: checkSecret,
		value: func(s Secret) any { return s.String() },
		zero:  Secret.IsZero,
	}
	httpURL      = text("an http:// or https:// address such as \"https://gitlab.example.com\", without user, query or fragment", checkURL)
	hostPort     = text(`host:port such as "localhost:9090"`, checkHostPort)
	absolutePath = text("an absolute path", func(s string) string {
		return gotIf(!filepath.IsAbs(s) || strings.ContainsFunc(s, unicode.IsControl), s)
	})
)

// listed is a copy of a list that is never nil: an empty one is [] in JSON.
func listed(l []string) any { return append([]string{}, l...) }

// text is a kind for strings.
func text(allowed string, check func(string) string) kind[string] {
	return kind[string]{
		allowed: allowed,
		from:    as[string], parse: parseText, check: check,
		value: func(s string) any { return s },
		zero:  func(s string) bool { return s == "" },
	}
}

// line is a text on one line of at most n bytes.
func line(n int) kind[string] {
	return text(fmt.Sprintf("a text on one line of at most %d bytes", n), func(s string) string {
		return gotIf(len(s) > n || strings.ContainsFunc(s, unicode.IsControl), s)
	})
}

// oneOf is one of a few words.
func oneOf[T ~string](words ...T) kind[T] {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(string(w))
	}
	return kind[T]{
		allowed: "one of " + strings.Join(quoted, ", "),
		from:    func(v any) (T, bool) { s, ok := v.(string); return T(s), ok },
		parse:   parseText,
		check:   func(w T) string { return gotIf(!slices.Contains(words, w), string(w)) },
		value:   func(w T) any { return string(w) },
		zero:    func(w T) bool { return w == "" },
	}
}

// atLeast is a duration with a lower bound.
func atLeast(least time.Duration) kind[time.Duration] {
	return kind[time.Duration]{
		allowed: fmt.Sprintf(`a duration of at least %s, such as "90s" or "5m"`, short(least)),
		from:    asDuration, parse: parseText,
		check: func(d time.Duration) string { return gotIf(d < least, short(d)) },
		value: func(d time.Duration) any { return short(d) },
		zero:  func(d time.Duration) bool { return d == 0 },
	}
}

// between is a duration with both bounds.
func between(least, most time.Duration) kind[time.Duration] {
	k := atLeast(least)
	k.allowed = fmt.Sprintf(`a duration of %s to %s, such as "30s"`, short(least), short(most))
	k.check = func(d time.Duration) string { return gotIf(d < least || d > most, short(d)) }
	return k
}

// wholeSeconds is a duration that gitlab-runner or GitLab takes as an integer
// of seconds: a fraction would be cut off in silence.
func wholeSeconds(least time.Duration) kind[time.Duration] {
	k := atLeast(least)
	k.allowed = fmt.Sprintf(`a duration in whole seconds of at least %s, such as "90s" or "5m"`, short(least))
	k.check = func(d time.Duration) string { return gotIf(d < least || d%time.Second != 0, short(d)) }
	return k
}

// zeroOr lets a kind's zero value through, and says so.
func zeroOr(k kind[time.Duration]) kind[time.Duration] {
	k.allowed = `"0s", or ` + k.allowed
	return unlessZero(k)
}

// optional lets an empty text through.
func optional(k kind[string]) kind[string] {
	k.allowed += ", or empty"
	return unlessZero(k)
}

func unlessZero[T any](k kind[T]) kind[T] {
	check := k.check
	k.check = func(v T) string {
		if k.zero(v) {
			return ""
		}
		return check(v)
	}
	return k
}

// required marks a kind whose zero value is a problem.
func required[T any](k kind[T]) kind[T] {
	k.required = true
	return unlessZero(k) // that it is missing is said once, after all sources are read
}

func as[T any](v any) (T, bool) { t, ok := v.(T); return t, ok }

func asDuration(v any) (time.Duration, bool) {
	s, ok := v.(string)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(strings.TrimSpace(s))
	return d, err == nil
}

func asList(v any) ([]string, bool) {
	items, ok := v.([]any)
	if !ok {
		return nil, false
	}
	list := make([]string, len(items))
	for i, item := range items {
		if list[i], ok = item.(string); !ok {
			return nil, false
		}
	}
	return list, true
}

func parseText(s string) (any, bool) { return s, true }

func parseBool(s string) (any, bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "1", "yes":
		return true, true
	case "false", "0", "no":
		return false, true
	}
	return nil, false
}

func parseInt(s string) (any, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}

// parseList takes a variable's text apart at its commas. The form that the file
// has, in brackets, is taken too: it is what the key's own help shows.
func parseList(s string) (any, bool) {
	items := []any{}
	if strings.HasPrefix(strings.TrimSpace(s), "[") {
		var file struct{ List []any }
		err := toml.Unmarshal([]byte("list = "+s), &file)
		return append(items, file.List...), err == nil
	}
	for item := range strings.SplitSeq(s, ",") {
		items = append(items, strings.TrimSpace(item))
	}
	return items, true
}

// parsePolicies takes a variable's text for one policy, which may have commas of its
// own, or for a list as the file has it.
func parsePolicies(s string) (any, bool) {
	if strings.HasPrefix(strings.TrimSpace(s), "[") {
		return parseList(s)
	}
	return []any{s}, true
}

// parseJobGroups takes a variable's text for a list of names, or for one group with its
// tags, between which there are commas, too.
func parseJobGroups(s string) (any, bool) {
	if strings.Contains(s, ":") {
		return parsePolicies(s)
	}
	return parseList(s)
}

func anything[T any](T) string { return "" }

func checkTags(list []string) string {
	for i, t := range list {
		if strings.TrimSpace(t) == "" || strings.Contains(t, ",") || slices.Contains(list[:i], t) {
			return fmt.Sprintf("%s at place %d", describe(t), i+1)
		}
	}
	return ""
}

func checkGroups(list []string) string {
	for i, g := range list {
		if strings.TrimSpace(g) == "" || len(g) > 255 || strings.ContainsFunc(g, unicode.IsControl) || slices.Contains(list[:i], g) {
			return fmt.Sprintf("%s at place %d", describe(g), i+1)
		}
	}
	return ""
}

func checkSpares(list []string) string {
	for i, text := range list {
		if _, err := scaling.ParseSpares(text, time.UTC); err != nil {
			return fmt.Sprintf("%s at place %d: %s", describe(text), i+1, err)
		}
	}
	return ""
}

func checkJobGroups(list []string) string {
	seen, every := map[string]bool{}, false
	for i, text := range list {
		g, err := fleet.ParseJobGroup(text)
		if err != nil {
			return fmt.Sprintf("%s at place %d: %s", describe(text), i+1, err)
		}
		if seen[g.Name] {
			return fmt.Sprintf("%s at place %d: the group stands there twice", describe(text), i+1)
		}
		if every {
			return fmt.Sprintf("%s at place %d: the group before it takes every job, and leaves it none: put that one last, or give it tags", describe(text), i+1)
		}
		seen[g.Name], every = true, g.Any
	}
	return ""
}

func checkSecrets(list []string) string {
	for i, ref := range list {
		if got := checkSecret(Secret{ref}); got != "" {
			return fmt.Sprintf("%s at place %d", got, i+1)
		}
	}
	return ""
}

func checkURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return describe(s)
	}
	if u.User != nil { // it may hold a token: not shown
		return "an address with a user or password in it (not shown)"
	}
	bad := (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != ""
	return gotIf(bad, s)
}

func checkHostPort(s string) string {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return describe(s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return gotIf(err != nil || n == 0, s)
}

// gotIf describes the value when it is bad.
func gotIf(bad bool, v any) string {
	if !bad {
		return ""
	}
	return describe(v)
}
