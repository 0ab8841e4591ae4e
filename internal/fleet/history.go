package fleet

import "time"

// PastJob is a job of a project's history, as GitLab lists it.
type PastJob struct {
	ID, Project, Pipeline      int64
	Name, Stage                string
	Status                     string // GitLab's word for it
	Tags                       []string
	Created, Started, Finished time.Time     // zero: it did not come to that
	Duration, Queued           time.Duration // below 0: GitLab does not say
	Runner                     int64         // 0: none had it
	RunnerName                 string        // the runner's description
	Machine                    string        // system_id of the runner's machine; empty: GitLab does not say
}

// HistoryPage is one page of a project's jobs, the newest first.
type HistoryPage struct {
	Jobs []PastJob
	Next string // the cursor of the page behind it; empty: this was the last one
	Odd  int    // entries that are no job of a pipeline, left out
}
