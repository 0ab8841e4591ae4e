package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/runner"
	"github.com/shoal-ci/shoal/internal/secret"
)

// findings is what config check makes of a valid configuration on this machine.
// A problem is what init would refuse for sure; a warning what may be all right
// elsewhere or for another user: an image is built without the token's file.
type findings struct{ problems, warnings config.Problems }

// inspect looks at what the configuration names on this machine, as init will: a
// mistake in it would come out at the first launch.
func inspect(ctx context.Context, l *config.Loaded) findings {
	f := findings{warnings: slices.Clone(config.Problems(l.Notes))}
	f.file(l.Path)
	f.token(ctx, l)
	f.certificates(l)
	f.template(ctx, l)
	if _, err := exec.LookPath("gitlab-runner"); err != nil {
		f.warn("", config.Origin{}, "no gitlab-runner on the PATH: install it before shoal init, which starts gitlab-runner.service")
	}
	return f
}

func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return badConfig(f.problems)
}

func (f *findings) warn(key string, at config.Origin, text string) {
	f.warnings = append(f.warnings, config.Problem{Key: key, Origin: at, Text: text})
}

// judge sorts a failure to read something that the configuration names.
func (f *findings) judge(key string, at config.Origin, err error) {
	failure := fleet.AsFailure("check the configuration", err)
	text := failure.Message
	if text == "" {
		text = failure.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.warn(key, at, text+"; it must be there before shoal init")
		return
	case errors.Is(err, fs.ErrPermission): // not root: init is
		f.warn(key, at, text+"; not checked: check again as root")
		return
	case failure.Mend != "":
		text += "; " + failure.Mend
	}
	f.problems = append(f.problems, config.Problem{Key: key, Origin: at, Text: text})
}

// credentialsDir is where systemd keeps a running unit's credentials. They are
// not there for anyone else, so their absence says nothing.
const credentialsDir = "/run/credentials/"

// token reads a token from its file as init does, and forgets it. Those in other
// places are not on this machine, or in the unit's environment only.
func (f *findings) token(ctx context.Context, l *config.Loaded) {
	ref, err := fleet.ParseSecretRef(l.GitLab.Token.String())
	if err != nil || ref.Source != fleet.SecretFile || strings.HasPrefix(ref.Name, credentialsDir) {
		return
	}
	at := l.Where("gitlab.token")
	f.place("gitlab.token", at, ref.Name)
	if _, err := secret.New(secret.Options{}).Resolve(ctx, ref.String()); err != nil {
		f.judge("gitlab.token", at, err)
	}
}

func (f *findings) certificates(l *config.Loaded) {
	if l.GitLab.CAFile == "" {
		return
	}
	at := l.Where("gitlab.ca_file")
	f.place("gitlab.ca_file", at, l.GitLab.CAFile)
	if _, err := os.Stat(l.GitLab.CAFile); err != nil {
		f.judge("gitlab.ca_file", at, err)
	}
}

// template has the template of gitlab-runner's configuration read as init reads
// it, and looks who else may read what is secret in it.
func (f *findings) template(ctx context.Context, l *config.Loaded) {
	local := runner.New(runnerOptions(l))
	defer local.Close()
	at := config.Origin{File: l.Runner.Template}
	f.place("runner.template", l.Where("runner.template"), l.Runner.Template)
	if _, err := local.Sections(ctx); err != nil {
		f.judge("", at, err)
		return
	}
	info, err := os.Stat(l.Runner.Template)
	if err != nil || info.Mode()&0o004 == 0 {
		return
	}
	if keys, err := local.TemplateSecrets(); err == nil && len(keys) > 0 {
		f.warn("", at, fmt.Sprintf("every user of this machine can read it (mode %04o), with %s: chmod 600 it", info.Mode().Perm(), strings.Join(keys, ", ")))
	}
}
