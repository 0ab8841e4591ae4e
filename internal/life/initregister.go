package life

import (
	"crypto/sha256"
	"fmt"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// newRunner is the runner that this instance makes.
func (s *Init) newRunner() fleet.NewRunner {
	n := s.set.Runner
	n.Description = s.description()
	if n.MaintenanceNote == "" {
		n.MaintenanceNote = fmt.Sprintf("Made by Shoal on instance %s of Auto Scaling group %s; deleted when the instance goes.", s.find.who.Identity.InstanceID, s.find.who.Group)
	}
	return n
}

func (s *Init) description() string {
	return s.find.who.Group + "/" + s.find.who.Identity.InstanceID
}

// SystemID derives the runner manager's id from the instance's: the same after
// every reboot, never shared by two instances of one image, and of the form
// that GitLab demands, s_ and twelve letters or digits.
func SystemID(instanceID string) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	sum := sha256.Sum256([]byte("shoal system id of " + instanceID))
	id := []byte("s_")
	for _, b := range sum[:12] {
		id = append(id, digits[int(b)%len(digits)])
	}
	return string(id)
}

// gotRegistration finds out how far an earlier run came.
func (s *Init) gotRegistration(old *fleet.Registration) {
	s.reg = fleet.Registration{
		Mode: s.set.Mode, URL: s.set.URL, Description: s.description(),
		SystemID: SystemID(s.find.who.Identity.InstanceID), IntentAt: s.now,
	}
	if old != nil && old.Mode == s.reg.Mode && old.URL == s.reg.URL && old.Description == s.reg.Description {
		s.reg.IntentAt, s.reg.Runners = old.IntentAt, old.Runners
		s.recover = len(old.Runners) < s.sections
	} else if old != nil { // of another instance (an image made of it) or another GitLab: not ours to use or to delete
		s.say(Warn, "set aside a registration that is not this instance's", fleet.Reason(fmt.Sprintf("it is of %q at %s", old.Description, old.URL)))
	}
	if s.reg.Mode != fleet.ModeToken && len(s.reg.Runners) > 0 {
		s.checked = 0
		s.goTo(initVerify)
		return
	}
	s.goTo(initSecret)
}

func (s *Init) gotSecret(t fleet.Token) {
	s.auth = t
	s.goTo(initIntent)
	if s.set.Mode == fleet.ModeToken && len(s.reg.Runners) > 0 && s.reg.Runners[0].Token != t {
		s.reg.Runners = nil // the operator has changed the token: it is another runner
	}
}

// intent is what is kept before GitLab is asked. A shared token stands in it
// already: GitLab may take the machine in and init be killed before it hears of
// that, and a drain that comes then needs the token to take the machine out.
func (s *Init) intent() fleet.Registration {
	reg := s.reg
	if reg.Mode == fleet.ModeToken && len(reg.Runners) == 0 {
		reg.Runners = []fleet.RegisteredRunner{{Token: s.auth}}
	}
	return reg
}

// register asks for one runner.
func (s *Init) register() Action {
	switch s.set.Mode {
	case fleet.ModeCreate:
		return CreateRunner{s.auth, s.newRunner()}
	case fleet.ModeLegacy:
		return RegisterRunner{s.auth, s.newRunner()}
	}
	return VerifyRunner{s.auth, s.reg.SystemID}
}

// gotLost takes up a runner that an earlier run made without hearing of it.
func (s *Init) gotLost(ids []int64) {
	for _, id := range ids {
		if !s.knows(id) {
			s.say(Info, fmt.Sprintf("adopt runner %d", id), "an earlier run made it and was killed before it could keep the token")
			s.reg.Runners = append(s.reg.Runners[:len(s.reg.Runners):len(s.reg.Runners)], fleet.RegisteredRunner{ID: id})
			s.goTo(initAdopt)
			return
		}
	}
	s.recover = false
	s.onTo(initRegister)
}

func (s *Init) knows(id int64) bool {
	for _, r := range s.reg.Runners {
		if r.ID == id {
			return true
		}
	}
	return false
}

func (s *Init) gotRunner(r Result) {
	var runner fleet.RegisteredRunner
	switch v := r.Value.(type) {
	case fleet.RegisteredRunner:
		runner = v
	case int64:
		runner = fleet.RegisteredRunner{ID: v, Token: s.auth}
	}
	runners := s.reg.Runners[:len(s.reg.Runners):len(s.reg.Runners)]
	if s.phase == initAdopt {
		runners = runners[: len(runners)-1 : len(runners)-1]
	}
	if s.set.Mode == fleet.ModeToken { // one token, however many sections: the manager is told by its system id
		runners = nil
	}
	known := s.set.Mode == fleet.ModeToken && len(s.reg.Runners) == 1 && s.reg.Runners[0] == runner
	s.reg.Runners = append(runners, runner)
	s.unsaved = true
	s.unsaid()
	if known {
		s.keepRegistration()
	} else {
		s.say(Info, fmt.Sprintf("registered runner %d", runner.ID), fleet.Reason(fmt.Sprintf("mode %s, %s, system id %s", s.set.Mode, s.reg.Description, s.reg.SystemID)))
	}
	s.goTo(initSave)
}

// keepRegistration says that what an earlier run registered still stands.
func (s *Init) keepRegistration() {
	s.say(Info, "keep the registration", fleet.Reason(fmt.Sprintf("GitLab knows runner %d of %s", s.reg.Runners[0].ID, s.reg.Description)))
}

// afterSave goes on until every section has its runner.
func (s *Init) afterSave() phase {
	switch {
	case s.set.Mode == fleet.ModeToken || len(s.reg.Runners) >= s.sections:
		return initConfigure
	case s.recover && s.set.Mode == fleet.ModeCreate:
		return initLook
	}
	return initRegister
}

func (s *Init) gotVerified() {
	s.checked++
	s.proved = s.now
	switch {
	case s.checked < len(s.reg.Runners):
		s.goTo(initVerify)
	case len(s.reg.Runners) >= s.sections:
		s.keepRegistration()
		s.goTo(initConfigure)
	default:
		s.goTo(initSecret)
	}
}
