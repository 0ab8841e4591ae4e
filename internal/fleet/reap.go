package fleet

import "time"

// EC2State is what EC2 itself says of an instance, in the words of
// DescribeInstances.
type EC2State string

// EC2Terminated is the end: an instance never leaves this state, and its id
// never comes back. EC2 forgets it after about an hour. Every other state is one
// of an instance that is there.
const EC2Terminated EC2State = "terminated"

// EC2Instance is one instance that EC2 knows.
type EC2Instance struct {
	ID    string
	State EC2State
}

// ListedRunner is a runner as GitLab's lists show it. Its status is left out on
// purpose: GitLab says "online" for two hours after the last contact.
type ListedRunner struct {
	ID          int64
	Description string
}

// RunnerPage is one page of a list of runners.
type RunnerPage struct {
	Runners []ListedRunner
	Next    string // leads to the next page; empty on the last
}

// RunnerDetails is a runner as its own page shows it.
type RunnerDetails struct {
	ListedRunner
	ContactedAt time.Time // by any of its managers; zero for never
}

// Leftover is what an instance that is gone has left behind, and what came of
// it: a runner in GitLab, or an instance that its group still waits for.
type Leftover struct {
	Group      string
	InstanceID string
	Runner     int64  // its id; 0 where it is a hook
	Hook       string // the lifecycle hook; empty where it is a runner
	Why        string // why the instance counts as gone
	Done       bool   // deleted, or completed
}
