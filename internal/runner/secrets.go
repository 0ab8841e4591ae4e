package runner

import (
	"maps"
	"slices"
	"strings"
)

// secretEnds are how the names of gitlab-runner's secrets end, without case, _
// and -: s3.SecretKey, azure.AccountKey, gcs.PrivateKey, ssh.password, and what
// people put into environment.
var secretEnds = []string{
	"secretkey", "secretaccesskey", "sessiontoken", "accountkey", "privatekey",
	"password", "secret", "token", "authconfig",
}

// TemplateSecrets lists the keys of the operator's template that seem to hold
// secrets, such as runners.cache.s3.SecretKey, never with their values. Its error
// is the one that Sections has.
func (l *Local) TemplateSecrets() ([]string, error) {
	t, err := l.template()
	if err != nil {
		return nil, err
	}
	var found []string
	collectSecrets(&found, "", t.tree)
	slices.Sort(found)
	return slices.Compact(found), nil
}

// collectSecrets walks through a decoded text. A list of NAME=value strings is
// what environment and MachineOptions are.
func collectSecrets(found *[]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			collectSecrets(found, strings.TrimPrefix(path+"."+key, "."), v[key])
		}
	case []any:
		for _, x := range v {
			if s, ok := x.(string); !ok {
				collectSecrets(found, path, x)
			} else if name, value, ok := strings.Cut(s, "="); ok && value != "" && namesSecret(name) {
				*found = append(*found, path+"."+name)
			}
		}
	case string:
		if v != "" && namesSecret(path) {
			*found = append(*found, path)
		}
	}
}

func namesSecret(name string) bool {
	plain := strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
	return slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(plain, end) })
}
