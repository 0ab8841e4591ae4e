package tune

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// Settings are what the search turns: keys of the configuration, the group's bounds,
// and two keys of gitlab-runner.
type Settings struct {
	Idle         time.Duration // monitor.idle_threshold
	Learn        time.Duration // monitor.learn_idle; 0: off
	Period       time.Duration // monitor.period
	Saturated    time.Duration // monitor.saturated_period
	BlindAfter   time.Duration // scale_up.blind_after
	WebhookGrace time.Duration // scale_up.webhook_grace, where there is a webhook
	Spares       []string      // spares.slots
	Hold         time.Duration // spares.hold; 0: for ever
	Webhook      bool          // a webhook sees to the group's growth
	Anticipate   bool          // webhook.anticipate

	Slots         int           // an instance's: gitlab-runner's concurrent
	CheckInterval time.Duration // gitlab-runner's check_interval
	Min, Max      int           // the group's
}

// Defaults are Shoal's, and the fleet's that simulate supposes.
func Defaults() Settings {
	return Settings{
		Idle: 180 * time.Second, Period: 10 * time.Second, Saturated: 3 * time.Second, BlindAfter: time.Minute,
		Slots: 6, CheckInterval: 3 * time.Second, Max: 40,
	}
}

// Policy is the settings as simulate's --policy has them. What is a default is left out,
// but for the idle time.
func (s Settings) Policy() string {
	d := Defaults()
	list := []string{"idle=" + short(s.Idle)}
	add := func(is bool, name, value string) {
		if is {
			list = append(list, name+"="+value)
		}
	}
	add(s.Learn > 0, "learn", short(s.Learn))
	add(s.Period != d.Period, "period", short(s.Period))
	add(s.Saturated != d.Saturated, "saturated_period", short(s.Saturated))
	add(s.BlindAfter != d.BlindAfter, "blind_after", short(s.BlindAfter))
	if len(s.Spares) == 1 {
		slots, period, _ := strings.Cut(s.Spares[0], " ")
		add(true, "spares", slots)
		add(period != "", "spares_period", period)
	}
	add(len(s.Spares) > 1, "spares_slots", strings.Join(s.Spares, ";"))
	add(len(s.Spares) > 0 && s.Hold > 0, "spares_hold", short(s.Hold))
	add(s.Webhook, "hook", "on")
	add(s.Webhook, "webhook_grace", short(s.WebhookGrace))
	add(s.Webhook && s.Anticipate, "anticipate", "on")
	return "shoal:" + strings.Join(list, ",")
}

// String is all of them, as simulate's flags.
func (s Settings) String() string {
	return fmt.Sprintf("--policy '%s' --slots %d --min %d --max %d --check-interval %s", s.Policy(), s.Slots, s.Min, s.Max, short(s.CheckInterval))
}

// Brief is the policy, and what else is not as in others.
func (s Settings) Brief(others Settings) string {
	text := strings.TrimPrefix(s.Policy(), "shoal:")
	for _, x := range []struct {
		name     string
		is, they string
	}{
		{"slots", strconv.Itoa(s.Slots), strconv.Itoa(others.Slots)},
		{"min", strconv.Itoa(s.Min), strconv.Itoa(others.Min)},
		{"max", strconv.Itoa(s.Max), strconv.Itoa(others.Max)},
		{"check_interval", short(s.CheckInterval), short(others.CheckInterval)},
	} {
		if x.is != x.they {
			text += "," + x.name + "=" + x.is
		}
	}
	return text
}

// Options are the simulator's, for a fleet with these settings.
func (s Settings) Options(fleet capacity.Options) capacity.Options {
	fleet.Slots, fleet.Min, fleet.Max, fleet.CheckInterval, fleet.Idle = []int{s.Slots}, s.Min, s.Max, s.CheckInterval, s.Idle
	return fleet
}

// withWebhook is these with a webhook, which anticipates where there is something to.
func (s Settings) withWebhook(fleet capacity.Options, stages bool) Settings {
	s.Webhook, s.Anticipate = true, stages
	if s.WebhookGrace == 0 {
		s.WebhookGrace = graceFor(fleet)
	}
	return s
}

// graceFor is longer than a launch: two minutes for one of ninety seconds.
func graceFor(fleet capacity.Options) time.Duration {
	const steps = 30 * time.Second
	launch := (fleet.Boot + fleet.Init) * 5 / 4
	return max(2*time.Minute, (launch + steps - 1).Truncate(steps))
}

// Change is one setting that is to be another.
type Change struct {
	Where string `json:"where"` // shoal.toml, webhook, gitlab-runner or group
	Key   string `json:"key"`
	From  string `json:"from"` // as it is written there
	To    string `json:"to"`
}

// setting is one of the settings as people write it.
type setting struct {
	where, key, value string
}

// The places where settings are kept.
const (
	InConfig  = "shoal.toml"
	InWebhook = "webhook"
	InRunner  = "gitlab-runner"
	InGroup   = "group"
)

// list is every setting, in the order of the configuration.
func (s Settings) list() []setting {
	quoted := make([]string, len(s.Spares))
	for n, text := range s.Spares {
		quoted[n] = strconv.Quote(text)
	}
	grace, anticipate := time.Duration(0), false
	if s.Webhook {
		grace, anticipate = s.WebhookGrace, s.Anticipate
	}
	return []setting{
		{InConfig, "monitor.period", duration(s.Period)},
		{InConfig, "monitor.saturated_period", duration(s.Saturated)},
		{InConfig, "monitor.idle_threshold", duration(s.Idle)},
		{InConfig, "monitor.learn_idle", duration(s.Learn)},
		{InConfig, "scale_up.blind_after", duration(s.BlindAfter)},
		{InConfig, "scale_up.webhook_grace", duration(grace)},
		{InConfig, "spares.slots", "[" + strings.Join(quoted, ", ") + "]"},
		{InConfig, "spares.hold", duration(s.Hold)},
		{InWebhook, "webhook.anticipate", strconv.FormatBool(anticipate)},
		{InRunner, "concurrent", strconv.Itoa(s.Slots)},
		{InRunner, "check_interval", strconv.Itoa(int(s.CheckInterval / time.Second))},
		{InGroup, "min-size", strconv.Itoa(s.Min)},
		{InGroup, "max-size", strconv.Itoa(s.Max)},
	}
}

// duration is a time as the configuration has it.
func duration(d time.Duration) string { return strconv.Quote(short(d)) }

// short is a time in minutes or seconds, where it is whole ones.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return d.String()
}

// From is what has to be changed to come from other settings to these.
func (s Settings) From(other Settings) []Change {
	var all []Change
	was := other.list()
	for n, is := range s.list() {
		if is.value != was[n].value {
			all = append(all, Change{Where: is.where, Key: is.key, From: was[n].value, To: is.value})
		}
	}
	return all
}

// Snippet is changes as lines of a TOML file, of those that are kept in one place.
func Snippet(changes []Change, where string) string {
	var b strings.Builder
	table := ""
	for _, c := range changes {
		if c.Where != where {
			continue
		}
		name, key, nested := strings.Cut(c.Key, ".")
		if !nested {
			name, key = "", c.Key
		}
		if name != table {
			if b.Len() > 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "[%s]\n", name)
			table = name
		}
		fmt.Fprintf(&b, "%s = %s\n", key, c.To)
	}
	return b.String()
}

// MarshalJSON writes the settings by the names that the configuration has for them.
func (s Settings) MarshalJSON() ([]byte, error) {
	spares := slices.Clone(s.Spares)
	if spares == nil {
		spares = []string{}
	}
	grace := time.Duration(0)
	if s.Webhook {
		grace = s.WebhookGrace
	}
	return json.Marshal(struct {
		Idle          float64  `json:"idle_threshold_seconds"`
		Learn         float64  `json:"learn_idle_seconds"`
		Period        float64  `json:"period_seconds"`
		Saturated     float64  `json:"saturated_period_seconds"`
		BlindAfter    float64  `json:"blind_after_seconds"`
		Spares        []string `json:"spares_slots"`
		Hold          float64  `json:"spares_hold_seconds"`
		Webhook       bool     `json:"webhook"`
		WebhookGrace  float64  `json:"webhook_grace_seconds"`
		Anticipate    bool     `json:"anticipate"`
		Slots         int      `json:"slots"`
		CheckInterval float64  `json:"check_interval_seconds"`
		Min           int      `json:"min"`
		Max           int      `json:"max"`
	}{
		s.Idle.Seconds(), s.Learn.Seconds(), s.Period.Seconds(), s.Saturated.Seconds(), s.BlindAfter.Seconds(), spares, s.Hold.Seconds(),
		s.Webhook, grace.Seconds(), s.Webhook && s.Anticipate, s.Slots, s.CheckInterval.Seconds(), s.Min, s.Max,
	})
}
