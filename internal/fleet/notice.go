package fleet

import "time"

// NoticeKind is why an instance is to go.
type NoticeKind string

// The kinds of notice, as they stand in /run/shoal/notice.json.
const (
	NoticeScaleIn     NoticeKind = "scale-in"
	NoticeSpot        NoticeKind = "spot"
	NoticeRebalance   NoticeKind = "rebalance"
	NoticeMaintenance NoticeKind = "maintenance"
	NoticeDetached    NoticeKind = "detached"
	NoticeShutdown    NoticeKind = "shutdown"
	NoticeOperator    NoticeKind = "operator"
)

// Notice says that this instance is to go: written once by lifecycle-check (or
// an operator, or monitor where lifecycle-check is broken), acted on by unregister. Its fields are the file's format.
type Notice struct {
	Kind     NoticeKind `json:"kind"`
	SeenAt   time.Time  `json:"seen_at"`
	Deadline *time.Time `json:"deadline"` // when EC2 takes the instance whatever we do; null when nobody said
	Source   string     `json:"source"`   // where it was seen, for people
}

// SpotAction is the body of the metadata path spot/instance-action.
type SpotAction struct {
	Action string // terminate, stop or hibernate
	Time   time.Time
}

// MaintenanceEvent is one entry of events/maintenance/scheduled.
type MaintenanceEvent struct {
	ID          string
	Code        string // instance-stop, instance-retirement, system-reboot, …
	State       string // active, completed, canceled
	Description string
	NotBefore   time.Time
}

// Flags is what stands in the run directory: how the units tell each other what
// they know.
type Flags struct {
	Notice     *Notice // notice.json: this instance is to go
	Standby    bool    // the group has put the instance into Standby
	Registered bool    // init has registered the runner since this boot
	Warmed     bool    // init found a warm pool and registered nothing
	Protected  bool    // scale-in protection was set, or is about to be
	Unable     bool    // init failed for a reason of this instance's own
	Refused    bool    // init was refused for a reason that the fleet shares
	Completed  bool    // the last drain has completed its termination hook
	Held       bool    // config.toml has its [[runners]] sections taken out
}
