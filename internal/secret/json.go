package secret

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// follow returns the string at the reference's JSON path. encoding/json's own
// errors quote the input, so none of them is passed on; and of a value's keys
// only those are named that the reference itself names.
func follow(ref fleet.SecretRef, value string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return "", pathFailure(ref, "the value is not JSON, and the reference has a JSON path")
	}
	for i, key := range ref.Path {
		next, ok := child(v, key)
		if !ok {
			return "", pathFailure(ref, fmt.Sprintf("the JSON value has no %q", strings.Join(ref.Path[:i+1], ".")))
		}
		v = next
	}
	s, ok := v.(string)
	if !ok {
		return "", pathFailure(ref, fmt.Sprintf("what stands at %q is not a string", strings.Join(ref.Path, ".")))
	}
	return s, nil
}

// child is the member of an object, or the element of a list by its number.
func child(v any, key string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		next, ok := v[key]
		return next, ok
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	}
	return nil, false
}

func pathFailure(ref fleet.SecretRef, message string) *fleet.Failure {
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: operation(ref), Message: message,
		Mend: "correct the part of the reference after #, or the value",
	}
}
