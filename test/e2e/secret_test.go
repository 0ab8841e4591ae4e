package e2e_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// TestNoSecretIsSeen goes through a whole life with everything logged, in each
// mode and with each kind of reference. Every site is audited at its end; this
// one also while its instance is alive and busy.
func TestNoSecretIsSeen(t *testing.T) {
	t.Parallel()
	for mode, token := range map[string]string{"token": sharedToken, "create": apiToken, "legacy": closeToken} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := open(t, inMode(mode), func(p *plan) {
				p.settings["log.level"] = "debug"
				p.machines.Token = "" // not in a file this time
				p.cloud.Parameters = map[string]string{"/ci/token": token}
				p.cloud.Secrets = map[string]string{"ci/token": `{"gitlab":{"token":"` + token + `"}}`}
				p.settings["gitlab.token"] = "ssm:/ci/token"
				if mode == "create" {
					p.settings["gitlab.token"] = "secretsmanager:ci/token#gitlab.token"
				}
			})
			id := s.up()
			job := s.submit("sleep 2", "env")
			s.untilJob(job, world.JobRunning)
			s.audit()
			s.untilJob(job, world.JobSuccess)
			s.run(id, "shoal", "config", "show")
			s.run(id, "shoal", "config", "show", "--json")
			s.run(id, "shoal", "init", "--json")
			s.clean(s.secrets(), "in a job's log", s.trace(job))
			s.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
			s.gone(id)
			s.noGhosts()
			if s.exists(id, "var/lib/shoal/registration.json") {
				t.Error("the registration outlives the instance's runner")
			}
		})
	}
}

func (s *site) trace(job int64) (log []byte) {
	s.cloud.Do(func(w *world.World, _ time.Time) { log = w.Trace(job) })
	return log
}
