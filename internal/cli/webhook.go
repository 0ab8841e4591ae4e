package cli

import (
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/demand"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// webhookFlags are what the command line adds to the configuration.
type webhookFlags struct {
	listen string
	reap   bool
	asJSON bool
}

// reapBeside is the pace of the reaper that runs beside the webhook: its unit's.
const reapBeside = 5 * time.Minute

func (c *call) webhookCommand() *cobra.Command {
	var f webhookFlags
	cmd := &cobra.Command{
		Use:     "webhook",
		GroupID: groupFleet,
		Short:   "Raise groups as soon as GitLab says that jobs wait, from zero too",
		Long: `Serve GitLab's job events, and raise the Auto Scaling groups whose jobs wait:
also one without any instance, where nobody else sees the queue. Capacity is only
ever raised; instances leave by themselves.

A group's target is its pending and running jobs by the slots of an instance.
Events may come twice, late, out of order or not at all. With webhook.token GitLab
is asked now and then what the events did not tell.

In GitLab, add a webhook to each project, or to a group: the URL with any path, the
secret token of webhook.secrets, and the trigger "Job events". /healthz, /readyz and
/metrics are served at the same address: keep those from strangers. SIGHUP reads
the secrets anew.`,
		Example: `  shoal webhook                          as configured: webhook.*
  shoal webhook --listen localhost:8080  behind a proxy on this machine
  shoal webhook --reap                   and clear away what dead instances left
  curl -s localhost:8080/metrics | grep shoal_webhook_jobs`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.refused("webhook", f.asJSON, c.webhook(cmd, f), func(r result) any { return r })
		},
	}
	jsonFlag(cmd, &f.asJSON)
	cmd.Flags().StringVar(&f.listen, "listen", "", `host:port (default webhook.listen, ":8080" unless set)`)
	cmd.Flags().BoolVar(&f.reap, "reap", false, "run the reaper, too, as shoal reap --every 5m does")
	return cmd
}

func (c *call) webhook(cmd *cobra.Command, f webhookFlags) error {
	l, err := c.load("gitlab.token")
	if err != nil {
		return err
	}
	if f.listen == "" {
		f.listen = l.Webhook.Listen
	}
	if err := checkWebhook(l.Config, f); err != nil {
		return err
	}
	s := service{call: c, flags: f, Loaded: l}
	if f.reap {
		if s.reap, err = reapSettings(l.Config, reapFlags{every: reapBeside, groups: besides(l.Config)}); err != nil {
			return err
		}
	}
	out, err := s.run(cmd.Context())
	if err == nil && f.asJSON {
		return c.printJSON(newResult("webhook", out))
	}
	return err
}

// besides are the groups of a reaper beside the webhook.
func besides(c config.Config) []string {
	if len(c.Reap.Groups) > 0 {
		return c.Reap.Groups
	}
	names := []string{}
	for _, g := range c.JobGroups() {
		names = append(names, g.Name)
	}
	return names
}

func checkWebhook(c config.Config, f webhookFlags) error {
	groups := c.JobGroups()
	switch {
	case !isListenAddress(f.listen):
		return usage("", `--listen: must be host:port such as "localhost:8080" or ":8080"; got %q`, f.listen)
	case len(c.Webhook.Secrets) == 0:
		return usage("put a random text of 32 characters there, and into the hook in GitLab", "webhook.secrets: required, and not set: without it anybody could launch instances")
	case len(groups) == 0:
		return usage("set webhook.groups", "which Auto Scaling groups? None is named")
	}
	for _, g := range groups {
		if g.Slots == 0 && c.Webhook.Slots == 0 {
			return usage("how many jobs an instance runs at once: concurrent in gitlab-runner's configuration", "webhook.slots: required, and not set")
		}
	}
	return nil
}

// isListenAddress tells whether s is host:port. Unlike webhook.listen a flag may have a
// service's name as the port, or 0 for one that is free.
func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

// webhookOptions are the configuration in the service's words, over the edges.
func (s *service) webhookOptions(w *wiring) demand.Options {
	o := demand.Options{
		Groups: s.JobGroups(), Untagged: s.Webhook.Untagged, Slots: int(s.Webhook.Slots), Forecast: forecastSettings(s.Config),
		AWS: w.demand.AWS, Store: demand.Folder{Dir: s.stateDir()}, Log: w.log,
	}
	if !s.Webhook.Token.IsZero() {
		token := &cachedToken{secrets: w.reap.Secrets, ref: s.Webhook.Token.String()}
		o.GitLab, o.Token = w.demand.GitLab, token.get
	}
	return o
}

// forecastSettings are the configuration in the forecast's words. How long instances
// stay idle is their configuration's: the same, or the default.
func forecastSettings(c config.Config) scaling.ForecastSettings {
	set := scaling.UsualForecast()
	set.Confidence, set.Stay = float64(c.Webhook.AnticipateConfidence)/100, c.Monitor.IdleThreshold
	set.Most = 0
	if c.Webhook.Anticipate {
		set.Most = float64(c.Webhook.AnticipateMost) / 100
	}
	return set
}

// stateDir is the unit's own folder (StateDirectory=), for it runs as a user who may
// not write into root's; else one in the state directory.
func (s *service) stateDir() string {
	for _, v := range s.Environ {
		if dirs, ok := strings.CutPrefix(v, "STATE_DIRECTORY="); ok && dirs != "" {
			dir, _, _ := strings.Cut(dirs, ":")
			return dir
		}
	}
	return filepath.Join(s.Dirs.State, "webhook")
}
