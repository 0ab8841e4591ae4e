package emulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// gitlabHandler is GitLab's API as far as runners need it. Routes whose pattern
// begins with /emulator/ are not GitLab's: they are this emulator's own controls.
func (c *Cloud) gitlabHandler() http.Handler {
	mux := http.NewServeMux()
	api := func(pattern string, h func(params, *http.Request) answer) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4"+path, func(w http.ResponseWriter, r *http.Request) {
			p, err := readParams(r)
			if err != nil {
				refuse(w, &world.HTTPError{Status: 400, Message: "400 Bad Request"})
				return
			}
			h(p, r).write(w)
		})
	}
	c.runnerRoutes(api)
	c.runnerListRoutes(api)
	c.jobRoutes(api, mux)
	c.controlRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer{status: 404, body: map[string]string{"error": "404 Not Found"}}.write(w)
	})
	pattern := func(r *http.Request) string {
		_, p := mux.Handler(r)
		return p
	}
	return c.guard(ServiceGitLab, "", pattern, mux)
}

// answer is what a route says.
type answer struct {
	status int
	body   any // nil: none
	header map[string]string
	err    error // instead of all the others
}

func (a answer) write(w http.ResponseWriter) {
	if a.err != nil {
		refuse(w, a.err)
		return
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

// refuse answers with an error in one of the two forms that GitLab has.
func refuse(w http.ResponseWriter, err error) {
	var e *world.HTTPError
	if !errors.As(err, &e) {
		e = &world.HTTPError{Status: 500, Message: "500 Internal Server Error"}
	}
	body := map[string]string{}
	for k, v := range map[string]string{"message": e.Message, "error": e.Kind, "error_description": e.Description, "scope": e.Scope} {
		if v != "" {
			body[k] = v
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if e.JobStatus != "" {
		w.Header().Set("Job-Status", e.JobStatus)
	}
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(body)
}

// params are a request's parameters from the query, and from a body that is a
// form or JSON: GitLab takes each alike.
type params map[string]any

func readParams(r *http.Request) (params, error) {
	p := params{}
	p.add(r.URL.Query())
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	switch kind := r.Header.Get("Content-Type"); {
	case len(body) == 0 || strings.HasPrefix(kind, "text/plain"):
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		v, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		p.add(v)
	default:
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p params) add(v url.Values) {
	for k, list := range v {
		if name, isList := strings.CutSuffix(k, "[]"); isList {
			p[name] = list
		} else if len(list) > 0 {
			p[k] = list[0]
		}
	}
}

func (p params) has(name string) bool { return p[name] != nil }

func (p params) text(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func (p params) number(name string) int64 {
	n, _ := strconv.ParseInt(p.text(name), 10, 64) // what is no number counts as absent
	return n
}

func (p params) flag(name string, absent bool) bool {
	if b, err := strconv.ParseBool(p.text(name)); err == nil {
		return b
	}
	return absent
}

// flagPointer, textPointer: nil where the parameter is absent.
func (p params) flagPointer(name string) *bool {
	if !p.has(name) {
		return nil
	}
	b := p.flag(name, false)
	return &b
}

func (p params) textPointer(name string) *string {
	if !p.has(name) {
		return nil
	}
	s := p.text(name)
	return &s
}

// list reads a list: an array, or words with commas between.
func (p params) list(name string) []string {
	var out []string
	switch v := p[name].(type) {
	case string:
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	case []string:
		out = v
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// object reads a nested object; empty when it is absent.
func (p params) object(name string) params {
	if m, ok := p[name].(map[string]any); ok {
		return m
	}
	return params{}
}

// accessToken is the token of a user's request.
func accessToken(r *http.Request) string {
	if t := r.Header.Get("Private-Token"); t != "" {
		return t
	}
	t, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return t
}

// ownToken is the token of a runner's or a job's request: in the body, else in
// one of the headers that runners of different ages use.
func ownToken(p params, r *http.Request, headers ...string) string {
	if t := p.text("token"); t != "" {
		return t
	}
	for _, h := range append(headers, "Private-Token") {
		if t := r.Header.Get(h); t != "" {
			return t
		}
	}
	return ""
}

func pathID(r *http.Request, name string) int64 {
	id, _ := strconv.ParseInt(r.PathValue(name), 10, 64) // no number: nothing has id 0
	return id
}

// gitlabTime is a time as GitLab writes it; nil for none.
func gitlabTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// ask has one word with the world.
func ask[T any](c *Cloud, f func(*world.World, time.Time) (T, error)) (v T, err error) {
	c.Do(func(w *world.World, now time.Time) { v, err = f(w, now) })
	return v, err
}

func tell(c *Cloud, f func(*world.World, time.Time) error) (err error) {
	c.Do(func(w *world.World, now time.Time) { err = f(w, now) })
	return err
}
