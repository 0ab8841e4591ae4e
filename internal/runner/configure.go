package runner

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// builtIn is the template where the operator has none.
const builtIn = `concurrent = 4
check_interval = 3

[[runners]]
  executor = "shell"
`

// Sections tells how many [[runners]] sections of the template need a token: all.
// A template without any section gets one. It writes nothing, and refuses with
// [fleet.Invalid] whatever template Configure would refuse.
func (l *Local) Sections(context.Context) (int, error) {
	t, err := l.template()
	if err != nil {
		return 0, err
	}
	n := t.wanting()
	_, err = t.render(trial(n))
	return n, err
}

// trial is a registration that a template is tried with: the real one is asked
// of GitLab only for a template that can take it.
func trial(n int) fleet.Registration {
	r := fleet.Registration{Mode: fleet.ModeCreate, URL: "https://gitlab.example", Description: "trial"}
	for range n {
		r.Runners = append(r.Runners, fleet.RegisteredRunner{ID: 1, Token: fleet.NewToken("trial")})
	}
	return r
}

// Configure writes .runner_system_id and config.toml. It is done again after any
// interruption: files that are right are left as they are. A held copy of the
// sections is dropped, since the new file has them. It tells whether anything
// was not as it was to be.
func (l *Local) Configure(_ context.Context, r fleet.Registration) (changed bool, err error) {
	t, err := l.template()
	if err != nil {
		return false, err
	}
	text, err := t.render(r)
	if err != nil {
		return false, err
	}
	for _, path := range []string{l.systemIDPath(), l.opts.ConfigPath, l.heldPath()} {
		l.disk.sweep(path)
	}
	// The id first: gitlab-runner makes one of its own where there is none, and
	// instances cloned from one image would share it.
	for _, step := range []func() (bool, error){
		func() (bool, error) { return writeUnlessSame(l.disk, l.systemIDPath(), []byte(r.SystemID)) },
		func() (bool, error) { return writeUnlessSame(l.disk, l.opts.ConfigPath, text) },
		func() (bool, error) { return discard(l.disk, l.heldPath()) },
	} {
		did, err := step()
		if changed = changed || did; err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// template is the operator's template, read and checked.
type template struct {
	*document
	path   string
	tables []map[string]any // the decoded sections, as document.sections has them
	opts   Options

	edits []edit
	want  map[string]any // what the result must decode to
}

func (l *Local) template() (*template, error) {
	text, err := load(l.disk, l.opts.TemplatePath)
	if err != nil {
		return nil, err
	}
	t := &template{path: l.opts.TemplatePath, opts: l.opts}
	if text == nil {
		text, t.path = []byte(builtIn), "the built-in template"
	}
	if t.document, err = parseDocument(text); err != nil {
		return nil, t.invalid(err.Error(), "mend it; gitlab-runner could not read it either")
	}
	return t, t.check()
}

func (t *template) invalid(message, mend string) *fleet.Failure {
	return &fleet.Failure{Kind: fleet.Invalid, Op: "use " + t.path, Message: message, Mend: mend}
}

// check refuses what gitlab-runner would die of, what would leave it deaf, and
// what would make it another runner than the registered one.
func (t *template) check() error {
	if err := t.checkGlobals(); err != nil {
		return err
	}
	list, ok := t.tree["runners"].([]any)
	if t.tree["runners"] != nil && !ok || len(list) != len(t.sections) {
		return t.invalid("runners is not written as [[runners]] sections", "write each as a [[runners]] header with its keys below")
	}
	if err := t.checkCredentials(list); err != nil {
		return err
	}
	for i, x := range list {
		table, ok := x.(map[string]any)
		if !ok {
			return t.invalid("runners is not written as [[runners]] sections", "write each as a [[runners]] header with its keys below")
		}
		if err := t.checkSpelling(table, ownKeys); err != nil {
			return err
		}
		if executor, _ := table["executor"].(string); executor == "" {
			return t.invalid(fmt.Sprintf("[[runners]] section %d has no executor", i+1), `set executor, for example to "shell" or "docker"`)
		}
		t.tables = append(t.tables, table)
	}
	return nil
}

func (t *template) checkGlobals() error {
	for _, check := range []func() error{
		func() error { return t.checkSpelling(t.tree, ownGlobals) },
		t.checkConcurrent, t.checkListen, t.checkShutdown,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *template) checkConcurrent() error {
	value, ok := t.tree["concurrent"]
	if !ok {
		return nil
	}
	n, isInt := value.(int64)
	if !isInt {
		return t.invalid("concurrent must be an integer, and is "+typeName(value), "write 1 or more, without quotes: concurrent = 4")
	}
	if n < 1 {
		return t.invalid(fmt.Sprintf("concurrent is %d", n), "set concurrent to 1 or more: gitlab-runner dies of 0")
	}
	return nil
}

// typeName is TOML's name of a value's type.
func typeName(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

func (t *template) checkListen() error {
	address, ok := t.tree["listen_address"]
	if !ok || address == "" {
		return nil
	}
	if s, isString := address.(string); !isString || !covers(s, t.opts.ListenAddress) {
		return t.invalid(fmt.Sprintf("listen_address is %v, runner.listen_address is %q", address, t.opts.ListenAddress),
			"set runner.listen_address to the same, or leave listen_address out of the template")
	}
	return nil
}

// gitlabShutdown is what gitlab-runner makes of a shutdown_timeout of 0 or less
// (common.DefaultShutdownTimeout).
const gitlabShutdown = 30 * time.Second

// checkShutdown holds the operator's shutdown_timeout to what a drain that must
// hurry needs: a runner that gives up before the jobs' processes are killed, or
// that waits past EC2's deadline, leaves its jobs unreported.
func (t *template) checkShutdown() error {
	value, ok := t.tree["shutdown_timeout"]
	if !ok {
		return nil
	}
	n, isInt := value.(int64)
	if !isInt {
		return t.invalid("shutdown_timeout must be an integer, and is "+typeName(value), "write whole seconds without quotes, or leave it out: Shoal writes runner.shutdown_timeout")
	}
	got, seconds := strconv.FormatInt(n, 10), float64(n) // as a Duration the biggest would overflow
	if n <= 0 {
		got, seconds = got+", which gitlab-runner takes as 30", gitlabShutdown.Seconds()
	}
	if k := t.opts.KillAfter; k > 0 && seconds <= k.Seconds() {
		return t.invalid("shutdown_timeout is "+got, fmt.Sprintf("set it to more seconds than unregister.kill_after (%s), or leave it out: gitlab-runner would be gone before its killed jobs are reported", k))
	}
	if m := t.opts.Margin; m > 0 && seconds >= m.Seconds() {
		return t.invalid("shutdown_timeout is "+got, fmt.Sprintf("set it to fewer seconds than unregister.margin (%s), or leave it out: EC2 would take the instance before its jobs are reported", m))
	}
	return nil
}

// covers tells whether a runner that listens at one address answers at another:
// the same, or the same port on all interfaces.
func covers(listens, asked string) bool {
	if listens == asked {
		return true
	}
	host, port, err := net.SplitHostPort(listens)
	_, askedPort, err2 := net.SplitHostPort(asked)
	return err == nil && err2 == nil && port == askedPort && wildcard(host)
}

// wanting counts the sections: each needs a token, and a template without any
// gets one.
func (t *template) wanting() int { return max(1, len(t.tables)) }

// render is config.toml: the template's text with what is missing in it.
func (t *template) render(r fleet.Registration) ([]byte, error) {
	t.edits, t.want = nil, t.tree
	t.setRoot("listen_address", t.opts.ListenAddress, t.opts.ListenAddress != "")
	// Rounded up: a runner that gives up early leaves a job unreported.
	seconds := int64((t.opts.ShutdownTimeout + time.Second - 1) / time.Second)
	if _, ok := t.tree["shutdown_timeout"]; !ok && seconds > 0 {
		t.setRoot("shutdown_timeout", seconds, true)
	}
	if err := t.setSections(r); err != nil {
		return nil, err
	}
	out := apply(t.text, t.edits)
	return out, t.prove(out)
}

func (t *template) setSections(r fleet.Registration) error {
	if len(t.tables) == 0 {
		return t.addSection(r)
	}
	for i := range t.tables {
		which := i
		if r.Mode == fleet.ModeToken { // one runner, shared by every section as by every instance
			which = 0
		}
		if which >= len(r.Runners) {
			return t.tooFew(len(r.Runners))
		}
		t.setSection(i, name(r, i), r.URL, r.Runners[which])
	}
	return nil
}

func (t *template) tooFew(have int) error {
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: "use " + t.path, Message: fmt.Sprintf("more [[runners]] sections than the %d registered runners", have),
		Mend: "was the template changed since? run shoal init again",
	}
}

// name tells the sections of one instance apart, as their metrics need it.
func name(r fleet.Registration, i int) string {
	if i == 0 {
		return r.Description
	}
	return r.Description + "-" + strconv.Itoa(i+1)
}

// setSection fills the keys of one section that the operator left out.
func (t *template) setSection(i int, name, url string, r fleet.RegisteredRunner) {
	s, table := t.sections[i], t.tables[i]
	set := func(key string, value any, empty any) {
		if old, ok := table[key]; ok && old != empty || value == empty {
			return
		}
		t.edits = append(t.edits, t.setKey(s.entries, s.at, t.indentOf(s), key, literal(value)))
		table[key] = value // tables are t.want's own
	}
	set("name", name, "")
	set("url", url, "")
	set("id", r.ID, int64(0))
	set("token", r.Token.Reveal(), "")
}

// addSection appends a shell section to a template that has none.
func (t *template) addSection(r fleet.Registration) error {
	if len(r.Runners) == 0 {
		return t.tooFew(0)
	}
	text := "\n[[runners]]\n"
	if n := len(t.text); n > 0 && t.text[n-1] != '\n' {
		text = "\n" + text
	}
	table := map[string]any{}
	add := func(key string, value any) {
		text += "  " + key + " = " + literal(value) + "\n"
		table[key] = value
	}
	add("name", r.Description)
	add("url", r.URL)
	if r.Runners[0].ID != 0 {
		add("id", r.Runners[0].ID)
	}
	add("token", r.Runners[0].Token.Reveal())
	add("executor", "shell")
	t.want["runners"] = []any{table}
	if t.inline != nil { // runners = []
		t.edits = append(t.edits, edit{span: t.inline.line})
	}
	t.edits = append(t.edits, edit{span{len(t.text), len(t.text)}, text})
	return nil
}

func (t *template) setRoot(key string, value any, set bool) {
	if old, ok := t.tree[key]; !set || ok && old != "" {
		return
	}
	t.edits = append(t.edits, t.setKey(t.root, t.rootEnd, "", key, literal(value)))
	t.want[key] = value
}

func literal(value any) string {
	if s, ok := value.(string); ok {
		return quote(s)
	}
	return fmt.Sprint(value)
}

const unfinished = "its keys cannot be completed in place"

// prove decodes the result and compares it with what it must be, so that no
// mistake in the text's positions ever reaches config.toml.
func (t *template) prove(out []byte) error {
	d, err := parseDocument(out)
	if err != nil || !sameTree(d.tree, t.want) {
		return t.invalid(unfinished, "write each key on a line of its own")
	}
	return nil
}
