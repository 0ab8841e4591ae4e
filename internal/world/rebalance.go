package world

import "time"

// RebalanceZones has a group balance its availability zones, as it does when one
// that had no capacity has it again: it launches one instance in the emptiest zone
// first, above desired and above its maximum where need be, and once that is in
// service it terminates one of the fullest zone that is not protected. Where all
// others are protected the new one may be the one to go.
func (w *World) RebalanceZones(now time.Time, groupName string) error {
	g, err := w.enter(now, groupName)
	if err != nil {
		return err
	}
	if !w.may(g, "Launch") {
		return nil
	}
	at := second(w.now)
	m := w.launch(g, Pending, "At "+at+" an instance was launched to aid in balancing the group's zones.")
	m.extra = true
	w.remember()
	return nil
}
