package demand

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// deepest is how deep an event may be nested; GitLab's are four deep.
	deepest = 32
	// longestName bounds the names that are kept; GitLab allows 255.
	longestName = 255
	// mostTags bounds the tags that a job may have; GitLab allows 50.
	mostTags = 64
)

// What is wrong with a body. None of them repeats any of it.
var (
	errDeep  = errors.New("the event is nested too deep")
	errJSON  = errors.New("the body is not JSON")
	errNoJob = errors.New("the event names no job: build_id and project_id must be positive integers")
)

// payload is what is read of an event. What only some versions send, or a new one
// may send in another form, is taken as it comes: a hook whose events are refused is
// disabled after four of them.
type payload struct {
	Kind     string `json:"object_kind"`
	ID       int64  `json:"build_id"`
	Project  int64  `json:"project_id"`
	Status   string `json:"build_status"`
	Pipeline any    `json:"pipeline_id"`
	Stage    any    `json:"build_stage"`
	Name     any    `json:"build_name"`
	Tags     any    `json:"tag_list"`
}

// decode reads a job event. What is an event of another kind, or of a status that is
// not known, is a job in state JobUnknown.
func decode(body []byte) (fleet.Job, error) {
	if !shallow(body) {
		return fleet.Job{}, errDeep
	}
	var p payload
	var form *json.UnmarshalTypeError
	switch err := json.Unmarshal(body, &p); {
	case errors.As(err, &form):
		return fleet.Job{}, errNoJob
	case err != nil:
		return fleet.Job{}, errJSON
	}
	if p.Kind != "build" {
		return fleet.Job{}, nil
	}
	if p.ID <= 0 || p.Project <= 0 {
		return fleet.Job{}, errNoJob
	}
	return fleet.Job{
		ID: p.ID, Project: p.Project, Pipeline: number(p.Pipeline), Stage: name(p.Stage), Name: name(p.Name),
		State: fleet.JobStateOf(p.Status), Aside: fleet.JobAside(p.Status), Tags: tags(p.Tags),
	}, nil
}

// shallow tells whether brackets outside of strings are nested no deeper than
// deepest. The decoder's own bound is 10,000, with a stack to match.
func shallow(body []byte) bool {
	depth, text, escaped := 0, false, false
	for _, c := range body {
		switch {
		case escaped:
			escaped = false
		case text && c == '\\':
			escaped = true
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > deepest {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// number is an integer that a float64 holds exactly; 0 where it is none.
func number(v any) int64 {
	const most = 1 << 53
	n, _ := v.(float64)
	if !(n > 0 && n <= most) {
		return 0
	}
	return int64(n)
}

// name is a text of bounded length, in memory of its own: a part of the body would
// keep all of it.
func name(v any) string {
	s, _ := v.(string)
	if len(s) > longestName {
		s = strings.ToValidUTF8(s[:longestName], "")
	}
	return strings.Clone(s)
}

// tags are a list of texts; nil where there is none, or one that is no job's: cut
// short it would be another group's.
func tags(v any) []string {
	items, ok := v.([]any)
	if !ok || len(items) > mostTags {
		return nil
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		tag, ok := item.(string)
		if !ok || len(tag) > longestName {
			return nil
		}
		list = append(list, tag)
	}
	return list
}
