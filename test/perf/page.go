package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// page is a runner's metrics page as scale-up sees it: every slot busy and jobs
// waiting at the first look, a slot free afterwards.
type page struct {
	listener net.Listener
	server   *http.Server

	mu    sync.Mutex
	total int // jobs taken so far
	looks int // since saturate
}

func newPage() (*page, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &page{listener: l}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: time.Second}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, nil
}

func (p *page) address() string { return p.listener.Addr().String() }
func (p *page) close()          { _ = p.server.Close() }

func (p *page) saturate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.looks = p.total+slots, 0
}

// waiting jobs behind two slots: two more instances are needed.
const waiting = 4

func (p *page) serve(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := slots
	if p.looks > 0 {
		running--
	}
	p.looks++
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintf(w, `# TYPE gitlab_runner_concurrent gauge
gitlab_runner_concurrent %d
# TYPE gitlab_runner_version_info gauge
gitlab_runner_version_info{name="gitlab-runner",version="19.4.0"} 1
# TYPE gitlab_runner_jobs gauge
gitlab_runner_jobs{executor_stage="idle",runner="abc",runner_name="r",stage="idle",state="idle",system_id="s_0"} 0
gitlab_runner_jobs{executor_stage="prepare",runner="abc",runner_name="r",stage="step_script",state="running",system_id="s_0"} %d
# TYPE gitlab_runner_jobs_total counter
gitlab_runner_jobs_total{runner="abc",runner_name="r",system_id="s_0"} %d
# TYPE gitlab_runner_job_queue_size gauge
gitlab_runner_job_queue_size{runner="abc",runner_name="r",system_id="s_0"} %d
# TYPE gitlab_runner_limit gauge
gitlab_runner_limit{runner="abc",runner_name="r",system_id="s_0"} 0
# TYPE gitlab_runner_request_concurrency gauge
gitlab_runner_request_concurrency{runner="abc",system_id="s_0"} 0
`, slots, running, p.total, waiting+1)
}
