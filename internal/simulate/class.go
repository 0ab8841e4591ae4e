package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/life"
)

// class is what an action reaches; it says how long it takes and which faults
// can hit it.
type class uint8

const (
	local    class = iota // a file is read, the metrics are scraped
	writes                // a file is written
	units                 // systemctl
	metadata              // the metadata service
	aws                   // Auto Scaling
	secret                // the secret store
	gitlab
)

// remote is the first class whose effect and answer are two moments.
const remote = aws

func classOf(a life.Action) class {
	switch a.(type) {
	case life.ReadFlags, life.ScrapeMetrics, life.ReadWhoami, life.ReadSeen, life.ReadBefore, life.ReadRegistration, life.CountSections, life.LoadBacklog, life.ListJobs:
		return local
	case life.ReadTarget, life.ReadSpot, life.ReadRebalance, life.ReadMaintenance, life.ReadIdentity:
		return metadata
	case life.WriteNotice, life.SetFlag, life.WriteWhoami, life.WriteSeen, life.WriteBefore, life.WriteRegistration, life.RemoveRegistration, life.WriteRunnerConfig, life.HoldRunner, life.ResumeRunner, life.SaveBacklog:
		return writes
	case life.StartUnit, life.StopUnit, life.ReadUnit, life.SignalUnit, life.KillJobs, life.ReadShutdown:
		return units
	case life.ResolveSecret:
		return secret
	case life.CreateRunner, life.RegisterRunner, life.VerifyRunner, life.FindRunners, life.ResetRunnerToken, life.DeleteRunner, life.DeleteManager,
		life.ListRunners, life.ReadRunner, life.DeleteRunnerByID:
		return gitlab
	}
	return aws
}

// changes tells whether an action changes anything: an answer that is lost after
// a question loses nothing.
func changes(a life.Action) bool {
	switch a.(type) {
	case life.FindGroup, life.DescribeGroup, life.DescribeHooks, life.DescribeActivities, life.FindRunners, life.ResolveSecret, life.ReadUnit, life.ReadShutdown,
		life.DescribeInstances, life.ListRunners, life.ReadRunner:
		return false
	}
	switch classOf(a) {
	case local, metadata:
		return false
	}
	return true
}

// spans are the usual times that actions take, by class.
var spans = [...][2]time.Duration{
	local:    {200 * time.Microsecond, 4 * time.Millisecond},
	writes:   {time.Millisecond, 15 * time.Millisecond},
	units:    {4 * time.Millisecond, 40 * time.Millisecond},
	metadata: {500 * time.Microsecond, 8 * time.Millisecond},
	aws:      {40 * time.Millisecond, 400 * time.Millisecond},
	secret:   {30 * time.Millisecond, 200 * time.Millisecond},
	gitlab:   {30 * time.Millisecond, 500 * time.Millisecond},
}

func (c class) latency(draw uint64) time.Duration {
	return within(draw, spans[c][0], spans[c][1])
}

// nameOf is an action's name, as schedules and the log have it.
func nameOf(a life.Action) string {
	switch a.(type) {
	case life.ReadIdentity:
		return "ReadIdentity"
	case life.ReadTarget:
		return "ReadTarget"
	case life.ReadSpot:
		return "ReadSpot"
	case life.ReadRebalance:
		return "ReadRebalance"
	case life.ReadMaintenance:
		return "ReadMaintenance"
	case life.FindGroup:
		return "FindGroup"
	case life.DescribeGroup:
		return "DescribeGroup"
	case life.DescribeHooks:
		return "DescribeHooks"
	case life.DescribeActivities:
		return "DescribeActivities"
	case life.Heartbeat:
		return "Heartbeat"
	case life.CompleteHook:
		return "CompleteHook"
	case life.SetDesired:
		return "SetDesired"
	case life.SetProtection:
		return "SetProtection"
	case life.TerminateSelf:
		return "TerminateSelf"
	case life.SetUnhealthy:
		return "SetUnhealthy"
	case life.ResolveSecret:
		return "ResolveSecret"
	case life.CreateRunner:
		return "CreateRunner"
	case life.RegisterRunner:
		return "RegisterRunner"
	case life.VerifyRunner:
		return "VerifyRunner"
	case life.FindRunners:
		return "FindRunners"
	case life.ResetRunnerToken:
		return "ResetRunnerToken"
	case life.DeleteRunner:
		return "DeleteRunner"
	case life.DeleteManager:
		return "DeleteManager"
	case life.DescribeInstances:
		return "DescribeInstances"
	case life.ListRunners:
		return "ListRunners"
	case life.ReadRunner:
		return "ReadRunner"
	case life.DeleteRunnerByID:
		return "DeleteRunnerByID"
	case life.ListJobs:
		return "ListJobs"
	case life.LoadBacklog:
		return "LoadBacklog"
	case life.SaveBacklog:
		return "SaveBacklog"
	}
	return nameOfLocal(a)
}

// nameOfLocal is nameOf for what is done on the machine.
func nameOfLocal(a life.Action) string {
	switch a.(type) {
	case life.ReadFlags:
		return "ReadFlags"
	case life.WriteNotice:
		return "WriteNotice"
	case life.SetFlag:
		return "SetFlag"
	case life.ReadWhoami:
		return "ReadWhoami"
	case life.WriteWhoami:
		return "WriteWhoami"
	case life.ReadSeen:
		return "ReadSeen"
	case life.WriteSeen:
		return "WriteSeen"
	case life.ReadBefore:
		return "ReadBefore"
	case life.WriteBefore:
		return "WriteBefore"
	case life.ReadRegistration:
		return "ReadRegistration"
	case life.WriteRegistration:
		return "WriteRegistration"
	case life.RemoveRegistration:
		return "RemoveRegistration"
	case life.CountSections:
		return "CountSections"
	case life.WriteRunnerConfig:
		return "WriteRunnerConfig"
	case life.HoldRunner:
		return "HoldRunner"
	case life.ResumeRunner:
		return "ResumeRunner"
	case life.ScrapeMetrics:
		return "ScrapeMetrics"
	case life.StartUnit:
		return "StartUnit"
	case life.StopUnit:
		return "StopUnit"
	case life.ReadUnit:
		return "ReadUnit"
	case life.SignalUnit:
		return "SignalUnit"
	case life.KillJobs:
		return "KillJobs"
	case life.ReadShutdown:
		return "ReadShutdown"
	}
	return "?"
}
