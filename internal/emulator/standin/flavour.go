package standin

import (
	"fmt"
	"maps"
	"runtime"
	"strings"
)

// flavour is what differs between the versions of gitlab-runner that were
// recorded. Shoal has to understand both.
type flavour struct {
	version     string
	revision    string
	branch      string
	builtAt     string
	tokenHeader string // carries the runner's token on POST /jobs/request
	jobHeader   string // carries the job's token on PUT /jobs/:id
	shortToken  int    // characters of the token that label metrics and logs

	acknowledges bool // PUT state=running before the job starts
	requestIDs   bool // X-Request-Id on every request
	timestamps   bool // each line of the trace begins with its time
	runnerNames  bool // label runner_name on the job metrics
	queueSize    bool // job_queue_size and job_queue_depth (since 18.1)
	processState bool // process_state_info
	abortReason  string
	features     map[string]bool
}

// The environment variable that picks a flavour, for tests that must see the
// older one. Its values are the keys of flavours.
const flavourVariable = "GITLAB_RUNNER_STANDIN"

// defaultFlavour is the newest recorded version.
const defaultFlavour = "19.4"

// flavourNamed returns a recorded flavour; the empty name gives the newest.
func flavourNamed(name string) (flavour, error) {
	switch name {
	case "", defaultFlavour:
		return flavour194(), nil
	case "17.5":
		return flavour175(), nil
	}
	return flavour{}, fmt.Errorf("choose flavour of gitlab-runner: %q is neither 19.4 nor 17.5", name)
}

func flavour194() flavour {
	f := flavour{
		version: "19.4.0", revision: "d79f3e7b", branch: "main",
		tokenHeader: "Runner-Token", jobHeader: "Job-Token", shortToken: 9,
		acknowledges: true, requestIDs: true, timestamps: true,
		runnerNames: true, queueSize: true, processState: true,
		abortReason: reasonInterrupted,
		features:    commonFeatures(),
	}
	f.features["job_inputs"] = true
	f.features["native_steps_integration"] = true
	f.features["two_phase_job_commit"] = true
	return f
}

func flavour175() flavour {
	return flavour{
		version: "17.5.0", revision: "snapshot", branch: "HEAD", builtAt: "unknown",
		tokenHeader: "Private-Token", jobHeader: "Private-Token", shortToken: 8,
		abortReason: reasonSystem,
		features:    commonFeatures(),
	}
}

// commonFeatures is what both versions announce for the shell executor.
func commonFeatures() map[string]bool {
	yes := strings.Fields(`artifacts artifacts_exclude cache cancel_gracefully cancelable
		fallback_cache_keys masking multi_build_steps raw_variables refspecs return_exit_code
		session shared terminal trace_checksum trace_reset trace_size upload_multiple_artifacts
		upload_raw_artifacts variables vault_secrets`)
	no := strings.Fields(`image image_executor_opts proxy service_executor_opts
		service_multiple_aliases service_variables services`)
	m := make(map[string]bool, len(yes)+len(no))
	for _, f := range yes {
		m[f] = true
	}
	for _, f := range no {
		m[f] = false
	}
	return m
}

// info is what the runner says of itself in every request.
func (f flavour) info() versionInfo {
	return versionInfo{
		Name: "gitlab-runner", Version: f.version, Revision: f.revision,
		Platform: runtime.GOOS, Architecture: runtime.GOARCH,
		Executor: "shell", Shell: "bash",
		Features: maps.Clone(f.features),
	}
}

func (f flavour) userAgent() string {
	return fmt.Sprintf("gitlab-runner %s (%s; %s; %s/%s)", f.version, f.branch, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// short is how logs and metrics name a token. Its kind (glrt-) goes first, as
// it is the same for all.
func (f flavour) short(token string) string {
	for _, prefix := range []string{"glrt-", "glrtr-"} {
		token = strings.TrimPrefix(token, prefix)
	}
	if len(token) > f.shortToken {
		return token[:f.shortToken]
	}
	return token
}
