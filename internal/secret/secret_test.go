package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestBadReferenceSaysWhatIsAllowed(t *testing.T) {
	_, err := New(Options{}).Resolve(t.Context(), hidden)
	if f := failed(t, err, fleet.Invalid); !strings.Contains(f.Error(), fleet.SecretForms) {
		t.Errorf("got %v", f)
	}
}

func TestVariable(t *testing.T) {
	r := New(Options{})
	t.Setenv("SHOAL_TEST_TOKEN", hidden)
	if got, err := r.Resolve(t.Context(), "env:SHOAL_TEST_TOKEN"); err != nil || got.Reveal() != hidden {
		t.Errorf("got %v, %v", got, err)
	}
	t.Setenv("SHOAL_TEST_TOKEN", "")
	_, err := r.Resolve(t.Context(), "env:SHOAL_TEST_TOKEN")
	expect(t, err, fleet.Invalid)
	_, err = r.Resolve(t.Context(), "env:SHOAL_TEST_TOKEN_THAT_IS_NOT_SET")
	expect(t, err, fleet.NotFound)
}

func TestFile(t *testing.T) {
	tests := []struct {
		name, content string
		mode          uint32
		kind          fleet.FailureKind
		mend          string
		ok            bool
	}{
		{name: "plain", content: hidden, mode: 0o600, ok: true},
		{name: "newline", content: hidden + "\n", mode: 0o400, ok: true},
		{name: "newline of another system", content: hidden + "\r\n", mode: 0o600, ok: true},
		{name: "a group's", content: hidden, mode: 0o640, ok: true},
		{name: "everybody's", content: hidden, mode: 0o644, kind: fleet.Denied, mend: "chmod 600 "},
		{name: "empty", mode: 0o644, kind: fleet.Invalid},
		{name: "only a newline", content: "\n", mode: 0o600, kind: fleet.Invalid},
		{name: "two newlines", content: hidden + "\n\n", mode: 0o600, kind: fleet.Invalid},
		{name: "two lines", content: hidden + "\n" + hidden, mode: 0o600, kind: fleet.Invalid},
		{name: "binary", content: hidden + "\xff", mode: 0o600, kind: fleet.Invalid},
		{name: "huge", content: strings.Repeat(hidden, maxValue), mode: 0o600, kind: fleet.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, tt.content, 0)
			if err := syscall.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			got, err := New(Options{}).Resolve(t.Context(), "file:"+path)
			if tt.ok {
				if err != nil || got.Reveal() != hidden {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if f := failed(t, err, tt.kind); !strings.Contains(f.Mend, tt.mend) || !got.IsZero() {
				t.Errorf("got %v", f)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	r := New(Options{})
	_, err := r.Resolve(t.Context(), "file:"+dir+"/missing")
	if f := failed(t, err, fleet.NotFound); f.Mend == "" {
		t.Error("no way to mend it")
	}
	_, err = r.Resolve(t.Context(), "file:"+dir)
	expect(t, err, fleet.Invalid)
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Resolve(t.Context(), "file:"+dir+"/pipe") // must not wait for a writer
	expect(t, err, fleet.Invalid)
}

// AWS is not touched, not even configured, for a reference that does not need it.
func TestAWSIsLazy(t *testing.T) {
	r := New(Options{Load: func(context.Context) (aws.Config, error) {
		t.Error("AWS was configured")
		return aws.Config{}, errors.New("no")
	}})
	t.Setenv("SHOAL_TEST_TOKEN", hidden)
	for _, ref := range []string{"env:SHOAL_TEST_TOKEN", "file:" + writeFile(t, hidden, 0o600)} {
		if _, err := r.Resolve(t.Context(), ref); err != nil {
			t.Error(err)
		}
	}
}

func TestJSONPath(t *testing.T) {
	const doc = `{"gitlab":{"token":"` + hidden + `","n":7,"` + hidden + `":1},"list":["a","` + hidden + `"],"":"x"}`
	for path, ok := range map[string]bool{
		"gitlab.token": true, "list.1": true,
		"gitlab": false, "gitlab.n": false, "gitlab.missing": false, "missing": false, "gitlab.token.more": false,
		"list.2": false, "list.-1": false, "list.x": false, "list": false,
	} {
		ref, err := fleet.ParseSecretRef("ssm:/ci#" + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := token(ref, doc)
		if ok {
			if err != nil || got.Reveal() != hidden {
				t.Errorf("%s: got %v, %v", path, got, err)
			}
			continue
		}
		expect(t, err, fleet.Invalid)
	}
	ref, _ := fleet.ParseSecretRef("ssm:/ci#gitlab.token")
	for _, value := range []string{hidden, `"` + hidden, `{"` + hidden + `}`, `[` + hidden + `]`, `"` + hidden + `"`, `null`, ``} {
		_, err := token(ref, value)
		expect(t, err, fleet.Invalid)
	}
}

// However a result is printed, the secret is not.
func TestTokenIsNotPrinted(t *testing.T) {
	t.Setenv("SHOAL_TEST_TOKEN", hidden)
	got, err := New(Options{}).Resolve(t.Context(), "env:SHOAL_TEST_TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", got, got, got, got); strings.Contains(s, hidden) {
		t.Errorf("got %s", s)
	}
}

// FuzzJSONPath looks for a value whose error shows a piece of it.
func FuzzJSONPath(f *testing.F) {
	f.Add(`{"a":"b"}`, "a")
	f.Add(`{"a":{"b":["c"]}}`, "a.b.0")
	f.Add(`{`, "a")
	f.Fuzz(func(t *testing.T, value, path string) {
		ref, err := fleet.ParseSecretRef("ssm:/ci#" + path)
		if err != nil {
			return // no reference
		}
		const marker = "Zz9VERYsecretQq7"
		if strings.Contains(path, marker) {
			return // the reference has the marker itself
		}
		_, err = token(ref, strings.ReplaceAll(value, "x", marker))
		if err != nil && strings.Contains(err.Error(), marker) {
			t.Errorf("the error shows the value: %v", err)
		}
	})
}
