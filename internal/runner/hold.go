package runner

import (
	"context"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Taking the sections out and putting them back is two files that change one
// after the other. Killed between them, the next call finds config.toml with
// sections (then the held copy is a left-over) or without (then it is the truth).

// Hold takes the [[runners]] sections out of config.toml: gitlab-runner asks for
// no further job, running ones finish. The globals stay. It tells whether there
// were any to take out.
func (l *Local) Hold(context.Context) (changed bool, err error) {
	text, err := load(l.disk, l.opts.ConfigPath)
	if err != nil || text == nil {
		return false, err
	}
	d, err := l.parseConfig(text)
	if err != nil || !d.hasRunners() {
		return false, err
	}
	bare := d.withoutRunners()
	if err := l.proveBare(d, bare); err != nil {
		return false, err
	}
	// The copy first: the tokens are on the disk at every instant.
	if err := replace(l.disk, l.heldPath(), text); err != nil {
		return false, err
	}
	return true, replace(l.disk, l.opts.ConfigPath, bare)
}

// Resume puts the sections back. A config.toml that has sections again was
// edited meanwhile, or the sections were never taken out: it stays, and the copy
// goes. It tells whether there was a copy.
func (l *Local) Resume(context.Context) (changed bool, err error) {
	held, err := load(l.disk, l.heldPath())
	if err != nil || held == nil {
		return false, err
	}
	edited, err := l.configHasRunners()
	if err != nil {
		return false, err
	}
	if !edited {
		if err := replace(l.disk, l.opts.ConfigPath, held); err != nil {
			return false, err
		}
	}
	return discard(l.disk, l.heldPath())
}

// Held tells whether the sections are taken out and can be put back.
func (l *Local) Held(context.Context) (bool, error) {
	held, err := load(l.disk, l.heldPath())
	if err != nil || held == nil {
		return false, err
	}
	edited, err := l.configHasRunners()
	return !edited && err == nil, err
}

// configHasRunners tells whether config.toml has sections. One that is absent or
// no TOML has none: gitlab-runner cannot read it either.
func (l *Local) configHasRunners() (bool, error) {
	text, err := load(l.disk, l.opts.ConfigPath)
	if err != nil || text == nil {
		return false, err
	}
	d, err := parseDocument(text)
	return err == nil && d.hasRunners(), nil
}

func (l *Local) parseConfig(text []byte) (*document, error) {
	d, err := parseDocument(text)
	if err != nil {
		return nil, &fleet.Failure{
			Kind: fleet.Local, Op: "read " + l.opts.ConfigPath, Message: err.Error(),
			Mend: "mend it; gitlab-runner goes on with what it read before",
		}
	}
	return d, nil
}

// proveBare compares the cut text with what it must be.
func (l *Local) proveBare(d *document, bare []byte) error {
	got, err := parseDocument(bare)
	want := d.tree
	delete(want, "runners")
	if err != nil || !sameTree(got.tree, want) {
		return &fleet.Failure{
			Kind: fleet.Local, Op: "take the [[runners]] sections out of " + l.opts.ConfigPath,
			Message: "they cannot be cut out of its text", Mend: "write each as a [[runners]] header with its keys below",
		}
	}
	return nil
}
