package config

import "strings"

// key is one key of the configuration, its type hidden behind functions.
type key struct {
	name     string // "monitor.idle_threshold"
	doc      string
	allowed  string // what a value must be, after "must be"
	required bool
	secret   bool // its value, even a wrong one, is never shown

	reset func(*Config)             // puts the default
	set   func(*Config, any) string // takes a TOML value; what it got, when that is wrong
	parse func(string) (any, bool)  // a variable's text as the TOML value it stands for
	value func(*Config) any         // as JSON has it
	text  func(*Config) string      // as TOML has it
	isSet func(*Config) bool        // whether it is more than the zero value
}

// bind ties a kind of value to its place in Config.
func bind[T any](name string, def T, k kind[T], at func(*Config) *T, doc string) key {
	return key{
		name: name, doc: doc, allowed: k.allowed, required: k.required, secret: k.secret,
		reset: func(c *Config) { *at(c) = def },
		set: func(c *Config, raw any) string {
			v, ok := k.from(raw)
			if !ok {
				return describe(raw)
			}
			if got := k.check(v); got != "" {
				return got
			}
			*at(c) = v
			return ""
		},
		parse: k.parse,
		value: func(c *Config) any { return k.value(*at(c)) },
		text:  func(c *Config) string { return literal(k.value(*at(c))) },
		isSet: func(c *Config) bool { return !k.zero(*at(c)) },
	}
}

// variable is the key's name in the environment: SHOAL_MONITOR_IDLE_THRESHOLD.
func (k key) variable() string {
	return "SHOAL_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// table is the part before the dot, and leaf the part after it.
func (k key) table() string { t, _, _ := strings.Cut(k.name, "."); return t }
func (k key) leaf() string  { _, l, _ := strings.Cut(k.name, "."); return l }

// findKey looks a key up by its full name.
func findKey(name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}
