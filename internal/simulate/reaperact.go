package simulate

import (
	"strconv"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// What the reaper asks for, under the judge's eyes.

// ec2 answers DescribeInstances. Where listings are old, one that was just launched
// is not known yet, and one that just died still runs.
func (l *loop) ec2(p *process, ids []string) []fleet.EC2Instance {
	var stale *window
	for _, w := range l.windows {
		if w.Kind == AWSStale && (stale == nil || w.Amount > stale.Amount) {
			stale = w
		}
	}
	var out []fleet.EC2Instance
	old := false
	for _, v := range l.world.EC2(l.now, ids...) {
		i := l.byID[v.ID]
		if stale != nil && l.at-i.launchedAt < stale.Amount {
			old = true
			continue
		}
		if stale != nil && i.dead && l.at-i.diedAt < stale.Amount {
			old, v.State = true, world.EC2Running
		}
		out = append(out, fleet.EC2Instance{ID: v.ID, State: fleet.EC2State(v.State)})
	}
	if old {
		p.hitByWindow(stale)
		l.line(l.at, "fault: i00 reap is told by EC2 what was so %s ago", stale.Amount)
	}
	return out
}

// listed is what a list of runners has, at the first page as at the last. Lists that
// are given are counted.
func (l *loop) listed(a life.ListRunners) ([]world.Runner, error) {
	all, err := l.world.Runners(l.now, a.Auth.Reveal(), world.RunnerFilter{GroupID: a.Where.GroupID})
	if err == nil && a.Page == "" {
		l.reaper.lists++
	}
	l.reaper.most = max(l.reaper.most, len(all))
	return all, err
}

// listsRunners answers with one page. A page is so many from the list as it is then:
// what is deleted between two pages moves the rest.
func (l *loop) listsRunners(a life.ListRunners) (any, error) {
	x := l.reaper
	all, err := l.listed(a)
	if err != nil {
		return nil, err
	}
	n := 0
	switch {
	case a.Page == "":
	case a.Page != x.next:
		l.breaks("reap", "i00 asks for page %q, and was told of %q", a.Page, x.next)
	default:
		n, _ = strconv.Atoi(a.Page)
	}
	var page fleet.RunnerPage
	for _, r := range all[min(n, len(all)):min(n+l.reap.perPage, len(all))] {
		page.Runners = append(page.Runners, fleet.ListedRunner{ID: r.ID, Description: r.Description})
	}
	if n += l.reap.perPage; n < len(all) {
		page.Next = strconv.Itoa(n)
	}
	x.next = page.Next
	return page, nil
}

func (l *loop) readsRunner(p *process, a life.ReadRunner) (any, error) {
	r, err := l.world.Runner(l.now, a.Auth.Reveal(), a.ID)
	if err != nil {
		return nil, err
	}
	l.looksAt(p, a)
	d := fleet.RunnerDetails{ListedRunner: fleet.ListedRunner{ID: r.ID, Description: r.Description}}
	if !r.ContactedAt.IsZero() {
		d.ContactedAt = p.toOwn(r.ContactedAt)
	}
	return d, nil
}

// looksAt notes which runner was looked at.
func (l *loop) looksAt(p *process, a life.ReadRunner) {
	l.reaper.looked = a.ID
	p.in.seesTime()
}

// reaps deletes a runner. It counts where GitLab had it, and has it no more.
func (l *loop) reaps(p *process, a life.DeleteRunnerByID) error {
	r, had := l.world.Runner(l.now, adminToken, a.ID)
	if had == nil {
		l.judgeReaped(r)
	}
	err := p.through(func() error { return l.world.DeleteRunner(l.now, a.Auth.Reveal(), a.ID) })
	if _, has := l.world.Runner(l.now, adminToken, a.ID); had != nil || has == nil {
		return err
	}
	l.reaper.reaped++
	if i := l.byID[instanceOf(r.Description)]; i != nil {
		i.reaped++
	}
	return err
}

// frees completes the hook of a dead instance.
func (l *loop) frees(p *process, a life.CompleteHook) error {
	l.judgeFreed(a)
	waited := l.inHook(a.Hook.InstanceID)
	err := p.through(func() error {
		return l.world.Complete(l.now, a.Hook.Group, a.Hook.Hook, a.Hook.InstanceID, string(a.Result))
	})
	if waited && !l.inHook(a.Hook.InstanceID) {
		l.reaper.freed++
		l.line(l.at, "i00 frees the group of %s", a.Hook.InstanceID)
	}
	l.pump()
	return err
}

// inHook tells whether the group waits for an instance in a hook.
func (l *loop) inHook(id string) bool {
	i := l.byID[id]
	if i == nil {
		return false
	}
	at := l.stateOf(i)
	return at == world.TerminatingWait || at == world.PendingWait
}
