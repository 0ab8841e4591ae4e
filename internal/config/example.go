package config

import (
	"fmt"
	"strings"
)

// commentWidth is where comments of the example are broken.
const commentWidth = 78

// Example is the default configuration as a file: every key with its default,
// commented out, and what it is for. packaging/shoal.toml is this text.
func Example() string {
	var b strings.Builder
	b.WriteString(`# Shoal's configuration. Every key is here with its default; only gitlab.url
# and gitlab.token must be set. A key a.b_c can also be set by the variable
# SHOAL_A_B_C. "shoal config check" tells what is wrong with it, "shoal config
# show" what is in force and why.
`)
	defaults, table := Default(), ""
	for _, k := range keys {
		if k.table() != table {
			table = k.table()
			fmt.Fprintf(&b, "\n[%s]\n", table)
		}
		b.WriteString(comment(k.doc))
		b.WriteString(comment("Must be " + k.allowed + "."))
		fmt.Fprintf(&b, "#%s = %s\n\n", k.leaf(), exampleValue(k, &defaults))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// exampleValue is the default, or something to begin with where there is none.
func exampleValue(k key, defaults *Config) string {
	switch k.name {
	case "gitlab.url":
		return `"https://gitlab.example.com"`
	case "gitlab.token":
		return `"ssm:/shoal/runner-token"`
	}
	return k.text(defaults)
}

func comment(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > commentWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// Table is the keys as a Markdown table; docs/configuration.md holds it.
func Table() string {
	var b strings.Builder
	b.WriteString("| key | default | what it does | must be |\n|---|---|---|---|\n")
	defaults := Default()
	for _, k := range keys {
		value := "`" + k.text(&defaults) + "`"
		if k.required {
			value = "*required*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, value, k.doc, strings.ReplaceAll(k.allowed, "|", `\|`))
	}
	return b.String()
}
