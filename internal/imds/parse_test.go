package imds

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestTargetStates(t *testing.T) {
	for body, want := range map[string]fleet.LifecycleState{
		"InService": fleet.InService, "Terminated\n": fleet.Terminated, "Standby": fleet.Standby, "Detached": fleet.Detached,
		"Warmed:Running": "Warmed:Running", "Warmed:Stopped": "Warmed:Stopped",
		"Warmed:Hibernated": "Warmed:Hibernated", "Warmed:Terminated": "Warmed:Terminated",
	} {
		if got, err := parseTargetState([]byte(body)); err != nil || got != want {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "terminated", "Terminating", "InService Terminated", "Warmed:", "<html>", "Terminated\x00"} {
		if got, err := parseTargetState([]byte(body)); err == nil || got != "" {
			t.Errorf("%q: got %q, %v, want an error", body, got, err)
		}
	}
}

func TestSpotActionIsStrict(t *testing.T) {
	for _, body := range []string{
		`{"action":"terminate"}`, `{"action":"terminate","time":"soon"}`, `{"action":"terminate","time":1767225720}`,
		`{"action":"","time":"2026-01-01T00:02:00Z"}`, `{"action":"dance","time":"2026-01-01T00:02:00Z"}`,
		`{"action":"terminate","time":"2026-01-01T00:02:00Z"} trailing`, `[]`, `null`, `"terminate"`, ``,
	} {
		if v, err := parseSpotAction([]byte(body)); err == nil {
			t.Errorf("%s: got %+v, want an error", body, v)
		}
	}
	for _, action := range []string{"terminate", "stop", "hibernate"} {
		v, err := parseSpotAction([]byte(`{"action":"` + action + `","time":"2026-01-01T02:02:00+02:00","more":1}`))
		if err != nil || v.Action != action || v.Time.Hour() != 0 || v.Time.Location() != time.UTC {
			t.Errorf("%s: got %+v, %v", action, v, err)
		}
	}
}

func TestMaintenanceIsStrict(t *testing.T) {
	const good = `{"EventId":"e","Code":"instance-stop","State":"active","NotBefore":"1 Jan 2026 09:00:43 GMT"}`
	if v, err := parseMaintenance([]byte(`[` + good + `,` + good + `]`)); err != nil || len(v) != 2 {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, body := range []string{
		``, `null`, `{}`, `"[]"`, `[` + good + `,{}]`,
		`[{"EventId":"e","Code":"instance-stop","State":"active"}]`,
		`[{"EventId":"e","Code":"instance-stop","State":"active","NotBefore":"1 Jan 2026 09:00:43 PST"}]`,
		`[{"Code":"instance-stop","State":"active","NotBefore":"1 Jan 2026 09:00:43 GMT"}]`,
		`[{"EventId":"e","State":"active","NotBefore":"1 Jan 2026 09:00:43 GMT"}]`,
	} {
		if v, err := parseMaintenance([]byte(body)); err == nil {
			t.Errorf("%s: got %+v, want an error", body, v)
		}
	}
}

func TestIdentityIsStrict(t *testing.T) {
	for _, cut := range []string{`"instanceId" : "i-0123456789abcdef0",`, `"region" : "eu-west-1",`, `"accountId" : "123456789012",`, `"availabilityZone" : "eu-west-1a",`} {
		if v, err := parseIdentity([]byte(strings.Replace(identityBody, cut, "", 1))); err == nil {
			t.Errorf("without %s: got %+v, want an error", cut, v)
		}
	}
	if v, err := parseIdentity([]byte(strings.Replace(identityBody, "i-0123456789abcdef0", "../i-0", 1))); err == nil {
		t.Errorf("got %+v, want an error", v)
	}
}

func TestGroupName(t *testing.T) {
	for body, want := range map[string]string{"ci": "ci", "ci\n": "ci", "a group, with ümläut / and: more": "a group, with ümläut / and: more"} {
		if got, err := parseGroupName([]byte(body)); err != nil || got != want {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "\n", "two\nlines", "<html>", "\xff", strings.Repeat("x", maxGroupName+1)} {
		if got, err := parseGroupName([]byte(body)); err == nil {
			t.Errorf("%q: got %q, want an error", body, got)
		}
	}
}

func FuzzTargetState(f *testing.F) {
	f.Add([]byte("InService"))
	f.Add([]byte("Warmed:Stopped\n"))
	f.Add([]byte("Terminating"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseTargetState(body)
		if (err == nil) != targetStates[s] {
			t.Errorf("%q: got %q, %v", body, s, err)
		}
	})
}

func FuzzSpotAction(f *testing.F) {
	f.Add([]byte(`{"action":"terminate","time":"2026-01-01T00:02:00Z"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := parseSpotAction(body)
		if err == nil && (v.Action == "" || v.Time.Location() != time.UTC) || err != nil && v != (fleet.SpotAction{}) {
			t.Errorf("%q: got %+v, %v", body, v, err)
		}
	})
}

func FuzzRebalance(f *testing.F) {
	f.Add([]byte(`{"noticeTime":"2026-01-01T00:02:00Z"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if at, err := parseRebalance(body); err == nil && !strings.Contains(strings.ToLower(string(body)), "time") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%q: got %s", body, at)
		}
	})
}

func FuzzMaintenance(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"EventId":"e","Code":"instance-stop","State":"active","NotBefore":"1 Jan 2026 09:00:43 GMT"}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := parseMaintenance(body)
		if err != nil && events != nil {
			t.Errorf("%q: got %v with %v", body, events, err)
		}
		for _, e := range events {
			if e.ID == "" || e.Code == "" || e.State == "" {
				t.Errorf("%q: got %+v", body, e)
			}
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte(identityBody))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := parseIdentity(body)
		if err == nil && (!strings.HasPrefix(v.InstanceID, "i-") || strings.ContainsAny(v.InstanceID+v.Region, "/\n ")) {
			t.Errorf("%q: got %+v", body, v)
		}
	})
}

func FuzzGroupName(f *testing.F) {
	f.Add([]byte("ci\n"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if v, err := parseGroupName(body); err == nil && (v == "" || strings.ContainsAny(v, "\r\n\x00")) {
			t.Errorf("%q: got %q", body, v)
		}
	})
}
