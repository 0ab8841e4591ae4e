package agent

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// one is one action of each type.
var one = []life.Action{
	life.ReadIdentity{},
	life.ReadTarget{},
	life.ReadSpot{},
	life.ReadRebalance{},
	life.ReadMaintenance{},
	life.FindGroup{},
	life.DescribeGroup{},
	life.DescribeHooks{},
	life.DescribeActivities{},
	life.Heartbeat{},
	life.CompleteHook{Result: fleet.Continue},
	life.SetDesired{},
	life.SetProtection{},
	life.TerminateSelf{},
	life.SetUnhealthy{},
	life.ResolveSecret{},
	life.CreateRunner{},
	life.RegisterRunner{},
	life.VerifyRunner{},
	life.FindRunners{},
	life.ResetRunnerToken{},
	life.DeleteRunner{},
	life.DeleteManager{},
	life.ReadFlags{},
	life.WriteNotice{Notice: fleet.Notice{Kind: fleet.NoticeSpot}},
	life.SetFlag{Flag: life.FlagStandby, On: true},
	life.ReadWhoami{},
	life.WriteWhoami{},
	life.ReadRegistration{},
	life.ReadSeen{},
	life.WriteSeen{},
	life.ReadBefore{},
	life.WriteBefore{},
	life.WriteRegistration{},
	life.RemoveRegistration{},
	life.CountSections{},
	life.WriteRunnerConfig{},
	life.HoldRunner{},
	life.ResumeRunner{},
	life.ScrapeMetrics{},
	life.StartUnit{Unit: life.UnitRunner},
	life.StopUnit{Unit: life.UnitRunner},
	life.ReadUnit{Unit: life.UnitRunner},
	life.SignalUnit{Unit: life.UnitRunner, Signal: "HUP"},
	life.KillJobs{Unit: life.UnitRunner},
	life.ReadShutdown{},
}

// declared are the names of the types with a method action in package life.
func declared(t *testing.T) map[string]bool {
	file, err := parser.ParseFile(token.NewFileSet(), "../life/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "action" {
			names[f.Recv.List[0].Type.(*ast.Ident).Name] = true
		}
	}
	return names
}

// TestPerformKnowsEveryAction: a new action that nobody carries out would panic
// on an instance.
func TestPerformKnowsEveryAction(t *testing.T) {
	names := declared(t)
	for _, none := range []string{"Say", "Sleep", "Exit"} { // the loop's own
		if !names[none] {
			t.Fatalf("no %s among %v", none, names)
		}
		delete(names, none)
	}
	for _, reapers := range []string{"DescribeInstances", "ListRunners", "ReadRunner", "DeleteRunnerByID"} { // package reap's
		delete(names, reapers)
	}
	for _, hooks := range []string{"LoadBacklog", "SaveBacklog", "ListJobs"} { // package demand's
		delete(names, hooks)
	}
	o := newOutside()
	e := o.edges(t)
	for _, a := range one {
		delete(names, reflect.TypeOf(a).Name())
		before := len(o.calls)
		if _, err := e.perform(t.Context(), a); err != nil {
			t.Errorf("%T: %v", a, err)
		}
		if len(o.calls) > before+1 {
			t.Errorf("%T made %d requests: %v", a, len(o.calls)-before, o.calls[before:])
		}
	}
	if len(names) > 0 {
		t.Errorf("not tried: %v", names)
	}
}

// TestPerformAnswersWithTheRightType: value in package life panics otherwise.
func TestPerformAnswersWithTheRightType(t *testing.T) {
	o := newOutside()
	e := o.edges(t)
	for a, want := range map[life.Action]any{
		life.ReadIdentity{}: fleet.Identity{}, life.ReadTarget{}: fleet.LifecycleState(""), life.ReadSpot{}: (*fleet.SpotAction)(nil),
		life.ReadRebalance{}: false, life.ReadMaintenance{}: []fleet.MaintenanceEvent(nil), life.FindGroup{}: "", life.DescribeGroup{}: fleet.Group{},
		life.DescribeHooks{}: []fleet.Hook(nil), life.DescribeActivities{}: []fleet.Activity(nil), life.ResolveSecret{}: fleet.Token{},
		life.VerifyRunner{}: int64(0), life.ReadFlags{}: fleet.Flags{},
		life.ReadWhoami{}: (*life.Whoami)(nil), life.ReadRegistration{}: (*fleet.Registration)(nil), life.ReadSeen{}: (*life.Seen)(nil), life.ReadBefore{}: (*life.Before)(nil), life.CountSections{}: 0,
		life.ScrapeMetrics{}: fleet.Observation{}, life.ReadUnit{}: fleet.UnitState{}, life.ReadShutdown{}: fleet.NotGoingDown,
	} {
		got, err := e.perform(t.Context(), a)
		if err != nil || reflect.TypeOf(got.value) != reflect.TypeOf(want) || got.changed {
			t.Errorf("%T: answered with %T, want %T (%v); changed %v", a, got.value, want, err, got.changed)
		}
	}
	for _, a := range []life.Action{life.CreateRunner{}, life.RegisterRunner{}, life.ResetRunnerToken{}} {
		if got, _ := e.perform(t.Context(), a); reflect.TypeOf(got.value) != reflect.TypeFor[fleet.RegisteredRunner]() {
			t.Errorf("%T: answered with %T", a, got.value)
		}
	}
	if got, _ := e.perform(t.Context(), life.FindRunners{}); reflect.TypeOf(got.value) != reflect.TypeFor[[]int64]() {
		t.Errorf("FindRunners: answered with %T", got.value)
	}
}

// TestPerformTellsWhatChanged: done a second time, what finds all as it was to be
// is no change; what machines are told is the same either way.
func TestPerformTellsWhatChanged(t *testing.T) {
	o := newOutside()
	e := o.edges(t)
	for _, tt := range []struct {
		action      life.Action
		first, then bool
	}{
		{life.WriteNotice{Notice: fleet.Notice{Kind: fleet.NoticeSpot}}, true, false},
		{life.WriteRegistration{Registration: registration}, true, false},
		{life.WriteRunnerConfig{Registration: registration}, true, false},
		{life.StartUnit{Unit: life.UnitRunner}, true, false},
		{life.HoldRunner{}, true, false},
		{life.ResumeRunner{}, true, false},
		{life.StopUnit{Unit: life.UnitRunner}, true, false},
		{life.RemoveRegistration{}, true, false},
		{life.CompleteHook{Result: fleet.Continue}, true, true},
		{life.SetDesired{}, true, true},
		{life.SignalUnit{Unit: life.UnitRunner, Signal: "HUP"}, true, true},
		{life.DeleteRunner{}, true, true},
		{life.SetFlag{Flag: life.FlagRegistered, On: true}, false, false},
		{life.WriteWhoami{}, false, false},
		{life.WriteSeen{}, false, false},
		{life.WriteBefore{}, false, false},
		{life.Heartbeat{}, false, false},
	} {
		for _, want := range []bool{tt.first, tt.then} {
			if got, err := e.perform(t.Context(), tt.action); err != nil || got.changed != want || got.value != nil {
				t.Errorf("%T: changed %v, want %v; told %v, %v", tt.action, got.changed, want, got.value, err)
			}
		}
	}
	o.do = func(context.Context, string) error { return errors.New("broken pipe") }
	for _, a := range one {
		if got, err := e.perform(t.Context(), a); err != nil && got.changed {
			t.Errorf("%T failed, and changed", a)
		}
	}
}

// TestUnclassifiedErrors are temporary and named after the action, not after its
// fields.
func TestUnclassifiedErrors(t *testing.T) {
	for _, a := range one {
		if got := describe(a); got != reflect.TypeOf(a).Name() {
			t.Errorf("described %T as %q", a, got)
		}
	}
	f := fleet.AsFailure(describe(life.DeleteRunner{Token: fleet.NewToken(runnersToken)}), errors.New("broken pipe"))
	if f.Kind != fleet.Temporary || f.Error() != "DeleteRunner: broken pipe" {
		t.Error(f)
	}
}
