package config

// Value is one key's value in force and where it came from.
type Value struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // a string, int64, bool or []string; a secret's is its reference
	Text   string `json:"-"`     // as TOML has it
	Origin string `json:"origin"`
}

// Values lists every key in the order of the documentation.
func (l *Loaded) Values() []Value {
	list := make([]Value, len(keys))
	for i, k := range keys {
		list[i] = Value{k.name, k.value(&l.Config), k.text(&l.Config), l.origins[k.name].String()}
	}
	return list
}

// Warnings lists what is allowed but will not do what it seems to, one line each.
func (l *Loaded) Warnings() []string {
	lines := make([]string, len(l.Notes))
	for i, n := range l.Notes {
		lines[i] = n.String()
	}
	return lines
}

// Where tells where a key's value came from.
func (l *Loaded) Where(key string) Origin { return l.origins[key] }
