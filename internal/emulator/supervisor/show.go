package supervisor

import (
	"fmt"
	"slices"
	"strconv"
)

// property is one line of systemctl show.
type property struct{ name, value string }

// properties are in the order in which systemctl prints them: the service's
// own, then those of any unit. ControlGroup= is empty: an instance has no control
// groups of the kernel's, and whoever asks goes by the main process's descendants.
// The mutex is held.
func (svc *service) properties() []property {
	condition := "no"
	if svc.condition {
		condition = "yes"
	}
	return []property{
		{"Type", svc.unit.kind},
		{"Restart", svc.unit.restart},
		{"MainPID", strconv.Itoa(svc.mainPID)},
		{"StatusText", svc.status},
		{"Result", svc.result},
		{"NRestarts", strconv.Itoa(svc.restarts)},
		{"ExecMainStatus", strconv.Itoa(svc.lastExit.code)},
		{"ControlGroup", ""},
		{"Id", svc.unit.name},
		{"Names", svc.unit.name},
		{"Description", svc.unit.description},
		{"LoadState", "loaded"},
		{"ActiveState", svc.active},
		{"SubState", svc.sub},
		{"ConditionResult", condition},
	}
}

// unknownProperties are those of a unit that does not exist, and of targets. While
// the instance goes down, which is always a reboot, the targets of a reboot wait
// for the units to stop.
func (s *Supervisor) unknownProperties(name string) []property {
	job := ""
	s.mu.Lock()
	if s.down && (name == "reboot.target" || name == "shutdown.target") {
		job = "1"
	}
	s.mu.Unlock()
	return []property{
		{"MainPID", "0"},
		{"Result", "success"},
		{"NRestarts", "0"},
		{"ControlGroup", ""},
		{"Id", name},
		{"Names", name},
		{"Description", name},
		{"LoadState", "not-found"},
		{"ActiveState", "inactive"},
		{"SubState", "dead"},
		{"ConditionResult", "no"},
		{"Job", job},
	}
}

// show prints properties. Like the real one it succeeds for any name.
func (s *Supervisor) show(v invocation) reply {
	var r reply
	for i, name := range v.units {
		if i > 0 {
			r.Stdout += "\n"
		}
		for _, p := range s.propertiesOf(name) {
			switch {
			case len(v.properties) > 0 && !slices.Contains(v.properties, p.name):
			case v.value:
				r.Stdout += p.value + "\n"
			default:
				r.Stdout += p.name + "=" + p.value + "\n"
			}
		}
	}
	return r
}

func (s *Supervisor) propertiesOf(name string) []property {
	svc, err := s.find(name)
	if err != nil {
		return s.unknownProperties(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return svc.properties()
}

// status is for people, who look at a demo that was kept.
func (s *Supervisor) status(v invocation) reply {
	names := v.units
	if len(names) == 0 {
		names = s.names()
	}
	r := reply{}
	for _, name := range names {
		svc, err := s.find(name)
		if err != nil {
			r.Code, r.Stderr = 4, r.Stderr+fmt.Sprintf("Unit %s could not be found.\n", name)
			continue
		}
		s.mu.Lock()
		r.Stdout += svc.describe()
		if svc.active != "active" && len(v.units) > 0 {
			r.Code = exitNotRunning
		}
		s.mu.Unlock()
	}
	return r
}

// describe is one unit's status; the mutex is held.
func (svc *service) describe() string {
	mark := map[string]string{"active": "●", "failed": "×", "activating": "●", "deactivating": "●"}[svc.active]
	if mark == "" {
		mark = "○"
	}
	text := fmt.Sprintf("%s %s - %s\n     Active: %s (%s)", mark, svc.unit.name, svc.unit.description, svc.active, svc.sub)
	if svc.result != "success" {
		text += " (Result: " + svc.result + ")"
	}
	text += "\n"
	if svc.mainPID != 0 {
		text += fmt.Sprintf("   Main PID: %d\n", svc.mainPID)
	}
	if svc.status != "" {
		text += fmt.Sprintf("     Status: %q\n", svc.status)
	}
	return text
}
