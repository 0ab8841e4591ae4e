package world

import (
	"slices"
	"time"
)

// Activity is a scaling activity.
type Activity struct {
	ID          string
	Group       string
	InstanceID  string // what it is about; not part of the API's answer
	Description string
	Cause       string
	Start       time.Time
	End         time.Time // zero while it goes on
	Status      string    // InProgress, Successful, Failed, Cancelled
	Message     string    // StatusMessage, where it failed
	Progress    int       // per cent
}

func (w *World) began(g *group, id, description, cause string) *Activity {
	a := &Activity{
		ID: w.uuid(), Group: g.Name, InstanceID: id, Description: description, Cause: cause,
		Start: w.now, Status: "InProgress",
	}
	g.activity = append(g.activity, a)
	return a
}

// finish ends an activity, once; a nil one is fine.
func (a *Activity) finish(now time.Time, status, message string) {
	if a == nil || a.Status != "InProgress" {
		return
	}
	a.Status, a.Message, a.End, a.Progress = status, message, now, 100
}

// Activities describes a group's scaling activities, newest first.
func (w *World) Activities(now time.Time, groupName string) ([]Activity, error) {
	g, err := w.enter(now, groupName)
	if err != nil {
		return nil, err
	}
	out := make([]Activity, 0, len(g.activity))
	for _, a := range slices.Backward(g.activity) {
		out = append(out, *a)
	}
	return out, nil
}

// second is a time as it stands in an activity's cause.
func second(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
