package capacity

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// Policy is one contender: a name and its options.
type Policy struct {
	Spec string // as it was asked for
	make func() policy
}

// A contender's options are given by the names that its users know.
type setter func(p policy, value string) error

// contender is a policy that can be named.
type contender struct {
	name    string
	about   string
	make    func() policy
	options []option
}

type option struct {
	name, about string
	set         setter
}

// contenders are all there are, in the order of the help.
var contenders = []contender{
	{"shoal", "what runs on an instance", func() policy { return newShoal() }, shoalOptions},
	{"original", "the system that Shoal replaces: one step at a time, each for itself", func() policy { return newOriginal() }, nil},
	{"taskscaler", "GitLab's docker-autoscaler: a manager that sees every job", func() policy { return &taskscaler{idleTime: -1} }, []option{
		{"idle_count", "free slots to hold ready, in jobs (0)", whole(func(p *taskscaler) *int { return &p.idleCount }, 0, 1_000_000)},
		{"idle_time", "how long an instance is idle before it goes (--idle)", span(func(p *taskscaler) *time.Duration { return &p.idleTime })},
		{"scale_factor", "free slots to hold ready, as a share of those in use (0)", share(func(p *taskscaler) *float64 { return &p.scaleFactor })},
		{"scale_factor_limit", "the most that scale_factor holds ready (0: any)", whole(func(p *taskscaler) *int { return &p.scaleFactorLimit }, 0, 1_000_000)},
		{"capacity_per_instance", "jobs that an instance runs at once, up to its slots, all of which count as paid for (--slots)", whole(func(p *taskscaler) *int { return &p.capacity }, 1, MaxSlots)},
		{"spread", "ours, for its documentation does not tell: off: a job is given to the fullest instance, in its favour; on: to any free slot (off)", onOff(func(p *taskscaler) *bool { return &p.spread })},
		{"max_use_count", "jobs after which an instance goes (0: any)", whole(func(p *taskscaler) *int { return &p.maxUseCount }, 0, 1_000_000)},
	}},
	{"buildkite", "buildkite-agent-scaler: counts jobs every ten seconds", func() policy {
		return &buildkite{factor: 1, idle: 10 * time.Minute, period: 10 * time.Second}
	}, []option{
		{"agents_per_instance", "jobs that an instance runs at once, up to its slots, all of which count as paid for (--slots)", whole(func(p *buildkite) *int { return &p.agents }, 1, MaxSlots)},
		{"scale_out_factor", "of what is missing (1)", share(func(p *buildkite) *float64 { return &p.factor })},
		{"scale_out_cooldown_period", "between two scale-outs (0s)", span(func(p *buildkite) *time.Duration { return &p.cooldown })},
		{"scale_in_idle_period", "how long an instance is idle before it goes (10m)", span(func(p *buildkite) *time.Duration { return &p.idle })},
	}},
	{"github", "terraform-aws-github-runner: one instance for one job", func() policy {
		return &github{delay: 30 * time.Second, minimum: 5 * time.Minute, every: 5 * time.Minute}
	}, []option{
		{"delay_webhook_event", "how long a job waits before it is looked at (30s)", span(func(p *github) *time.Duration { return &p.delay })},
		{"minimum_running_time_in_minutes", "how old an idle instance is when it goes, in minutes (5)", minutes(func(p *github) *time.Duration { return &p.minimum })},
		{"runners_maximum_count", "instances (--max)", whole(func(p *github) *int { return &p.most }, 1, MaxInstances)},
	}},
	{"static", "a fleet of a fixed size", func() policy { return &static{} }, []option{
		{"instances", "how many (--max)", whole(func(p *static) *int { return &p.instances }, 1, MaxInstances)},
	}},
	{"oracle", "knows the future: nobody waits less", func() policy { return &oracle{} }, nil},
}

// Parse reads a policy as "name" or "name:option=value,…". An error names what
// is allowed.
func Parse(spec string) (Policy, error) {
	name, rest, _ := strings.Cut(spec, ":")
	at := slices.IndexFunc(contenders, func(c contender) bool { return c.name == name })
	if at < 0 {
		return Policy{}, fmt.Errorf("unknown policy %q; there are %s", name, strings.Join(Names(), ", "))
	}
	c := contenders[at]
	values := map[string]string{}
	var order []string
	for _, pair := range strings.Split(rest, ",") {
		if pair == "" && rest == "" {
			break
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok && len(order) > 0 { // a comma in the value before it, as cron has them
			values[order[len(order)-1]] += "," + pair
			continue
		}
		if !ok {
			return Policy{}, fmt.Errorf("policy %q: %q is no option=value", spec, pair)
		}
		if _, twice := values[key]; twice {
			return Policy{}, fmt.Errorf("policy %q: option %q twice", spec, key)
		}
		values[key] = value
		order = append(order, key)
	}
	build := func() (policy, error) {
		p := c.make()
		for _, key := range order {
			if err := c.set(p, key, values[key]); err != nil {
				return nil, fmt.Errorf("policy %q: %w", spec, err)
			}
		}
		if s, ok := p.(*shoal); ok && s.hook.anticipate && !s.hook.on {
			return nil, fmt.Errorf("policy %q: anticipate=on needs hook=on", spec)
		}
		return p, nil
	}
	if _, err := build(); err != nil {
		return Policy{}, err
	}
	return Policy{Spec: spec, make: func() policy {
		p, _ := build() // it did a moment ago
		return p
	}}, nil
}

func (c contender) set(p policy, key, value string) error {
	for _, o := range c.options {
		if o.name != key {
			continue
		}
		if err := o.set(p, value); err != nil {
			return fmt.Errorf("%s is %q; %w", key, value, err)
		}
		return nil
	}
	var known []string
	for _, o := range c.options {
		known = append(known, o.name)
	}
	if known == nil {
		return fmt.Errorf("it has no options; got %q", key)
	}
	return fmt.Errorf("unknown option %q; there are %s", key, strings.Join(known, ", "))
}

// Names are the names of all policies.
func Names() []string {
	var all []string
	for _, c := range contenders {
		all = append(all, c.name)
	}
	return all
}

// Describe tells each policy with its options, a line each, for help.
func Describe() []string {
	var lines []string
	for _, c := range contenders {
		lines = append(lines, fmt.Sprintf("%-11s %s", c.name, c.about))
		for _, o := range c.options {
			lines = append(lines, fmt.Sprintf("  %s: %s", o.name, o.about))
		}
	}
	return lines
}

// whole, share, span and minutes set an option of one kind.
func whole[P policy](field func(P) *int, least, most int) setter {
	return func(p policy, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return fmt.Errorf("allowed: a whole number from %d to %d", least, most)
		}
		*field(p.(P)) = n
		return nil
	}
}

func share[P policy](field func(P) *float64) setter { return shareTo(100, field) }

// shareTo is a share with an upper bound.
func shareTo[P policy](most float64, field func(P) *float64) setter {
	return func(p policy, value string) error {
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || !(f >= 0 && f <= most) {
			return fmt.Errorf("allowed: a number from 0 to %g", most)
		}
		*field(p.(P)) = f
		return nil
	}
}

func span[P policy](field func(P) *time.Duration) setter { return spanFrom(0, field) }

// spanFrom is a span with a lower bound: of what comes round again and again.
func spanFrom[P policy](least time.Duration, field func(P) *time.Duration) setter {
	return func(p policy, value string) error {
		d, err := time.ParseDuration(value)
		if n, e := strconv.Atoi(value); e == nil { // peers write seconds as a bare number
			d, err = time.Duration(min(max(n, -1), 1_000_000))*time.Second, nil
		}
		if err != nil || d < least || d > longest {
			return fmt.Errorf("allowed: %s to %s, or as many seconds", least, longest)
		}
		*field(p.(P)) = d
		return nil
	}
}

func minutes[P policy](field func(P) *time.Duration) setter {
	return func(p policy, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 1440 {
			return errors.New("allowed: 0 to 1440 minutes")
		}
		*field(p.(P)) = time.Duration(n) * time.Minute
		return nil
	}
}

func onOff[P policy](field func(P) *bool) setter {
	return func(p policy, value string) error {
		if value != "on" && value != "off" {
			return errors.New("allowed: on, off")
		}
		*field(p.(P)) = value == "on"
		return nil
	}
}

func cron[P policy](field func(P) *[]scaling.Period) setter {
	return func(p policy, value string) error {
		period, err := scaling.ParsePeriod(value)
		if err == nil {
			*field(p.(P)) = append(*field(p.(P)), period)
		}
		return err
	}
}

func policies[P policy](field func(P) *[]scaling.Spares) setter {
	return func(p policy, value string) error {
		for text := range strings.SplitSeq(value, ";") {
			s, err := scaling.ParseSpares(strings.TrimSpace(text), nil)
			if err != nil {
				return err
			}
			*field(p.(P)) = append(*field(p.(P)), s)
		}
		return nil
	}
}
