package gitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The ways to mend that several answers share.
const (
	mendURL    = "does gitlab.url name GitLab itself? Look at proxies and firewalls in between too"
	mendLegacy = "set gitlab.mode to token or create: this GitLab takes no registration tokens (Admin > Settings > CI/CD > Runners can allow them)"
)

// classify turns what went wrong into a failure. The error's own text is used
// only after tokens are taken out of it.
func (q *question) classify(ctx context.Context, err error) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.Temporary, Op: q.op}
	switch {
	case errors.Is(err, errNoType):
		f.Kind, f.Message, f.Mend = fleet.Denied, errNoType.Error(), "set gitlab.runner_type"
	case errors.Is(err, errRedirect):
		f.Kind, f.Mend = fleet.Invalid, "set gitlab.url to the address that GitLab redirects to"
		f.Message = q.scrub(cause(err))
	case ctx.Err() != nil:
		f.Err, f.Message = ctx.Err(), "no answer in time"
	case q.answer.status == 0:
		q.network(f, err)
	case q.answer.ok():
		// Without the library's words: they may quote the whole body.
		f.Message, f.Mend = fmt.Sprintf("the answer (%d) is not GitLab's JSON, or not all of it", q.answer.status), mendURL
		if errors.Is(err, errTooLarge) {
			f.Message, f.Err = errTooLarge.Error(), errTooLarge
		}
	default:
		q.refused(f)
	}
	return f
}

// network sorts what failed before an answer came.
func (q *question) network(f *fleet.Failure, err error) {
	f.Message = q.scrub(cause(err))
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var hostname x509.HostnameError
	var header tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		f.Mend = "set gitlab.ca_file to the certificate of the CA that signed GitLab's"
	case errors.As(err, &hostname):
		f.Mend = "gitlab.url must have the host name that GitLab's certificate is for"
	case errors.As(err, &invalid):
		f.Mend = "renew GitLab's certificate; is this machine's clock right?"
	case errors.As(err, &header), strings.Contains(f.Message, "server gave HTTP response to HTTPS client"):
		f.Mend = "does gitlab.url begin with the right one of http:// and https://?"
	case strings.Contains(f.Message, "Proxy Authentication Required"):
		f.Mend = "give the proxy's name and password in HTTPS_PROXY"
	case strings.Contains(f.Message, "proxyconnect"):
		f.Mend = "is the proxy in HTTPS_PROXY right? NO_PROXY names hosts to reach without it"
	case errors.As(err, &dns) && dns.IsNotFound:
		f.Mend = "is the host in gitlab.url right? Can this machine resolve it?"
	}
}

// cause is the error without the request and address that net/http puts first.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// refused sorts the answers that say no.
func (q *question) refused(f *fleet.Failure) {
	a := q.answer
	f.RetryAfter = retryAfter(a.header)
	if a.status == http.StatusTooManyRequests && f.RetryAfter == 0 {
		f.RetryAfter = untilReset(a.header)
	}
	f.Message = q.scrub(fmt.Sprintf("GitLab answers %d", a.status) + saying(message(a.body)))
	switch {
	case a.status == http.StatusProxyAuthRequired:
		f.Message, f.Mend = "the proxy wants a password", "give the proxy's name and password in HTTP_PROXY and HTTPS_PROXY"
	case a.status == http.StatusTooManyRequests:
		f.Kind = fleet.Throttled
	case a.status >= 500, a.status == http.StatusRequestTimeout, a.status == http.StatusConflict,
		a.status == http.StatusLocked, a.status == http.StatusTooEarly:
		// Temporary.
	case !gitlabs(a.body):
		// A firewall's 403 or a web server's 404 must not end a registration.
		f.Message, f.Mend = fmt.Sprintf("something that is not GitLab's API answers %d", a.status), mendURL
	default:
		q.meant(f)
	}
}

func saying(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// gitlabs tells whether a body can be from GitLab's API: JSON, or none.
func gitlabs(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) == 0 || body[0] == '{' || body[0] == '"' || body[0] == '['
}

// meant sorts GitLab's own refusals.
func (q *question) meant(f *fleet.Failure) {
	switch q.needs.who {
	case runnerToken:
		q.runnerRefused(f)
	case registrationToken:
		q.registrationRefused(f)
	default:
		q.apiRefused(f)
	}
	if f.Kind == fleet.Temporary {
		f.Kind = fleet.Invalid
	}
	if q.answer.status == http.StatusMethodNotAllowed && f.Mend == "" {
		f.Mend = mendURL
	}
}

func (q *question) runnerRefused(f *fleet.Failure) {
	switch q.answer.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		f.Kind, f.Mend = fleet.BadToken, "GitLab does not know this runner token: it was deleted, reset or has expired"
	case http.StatusNotFound:
		f.Kind, f.Mend = fleet.NotFound, mendURL
	}
}

func (q *question) registrationRefused(f *fleet.Failure) {
	text := strings.ToLower(f.Message)
	disabled := strings.Contains(text, "disallowed") || strings.Contains(text, "disabled") || strings.Contains(text, "not allowed")
	switch status := q.answer.status; {
	case status == http.StatusGone, status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusForbidden && disabled:
		f.Kind, f.Mend = fleet.Denied, mendLegacy
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.Kind, f.Mend = fleet.BadToken, "gitlab.token must be a registration token that is valid; where GitLab takes none any longer, set gitlab.mode to token or create"
	}
}

func (q *question) apiRefused(f *fleet.Failure) {
	text := string(q.answer.body)
	switch status := q.answer.status; {
	case strings.Contains(text, "insufficient_scope"), strings.Contains(text, "insufficient_granular_scope"):
		f.Kind = fleet.Denied
		f.Mend = "make a token with the scope " + q.needs.scope + " and put it where " + q.needs.tokenKey() + " points"
	case status == http.StatusUnauthorized:
		f.Kind = fleet.BadToken
		f.Message = "the token was revoked or has expired, or never was one (" + f.Message + ")"
		f.Mend = "make a token with the scope " + q.needs.scope + " and put it where " + q.needs.tokenKey() + " points"
	case status == http.StatusForbidden, status == http.StatusBadRequest && strings.Contains(text, "nsufficient permissions"):
		f.Kind, f.Mend = fleet.Denied, q.mendRole()
	case status == http.StatusNotFound:
		f.Kind, f.Mend = fleet.NotFound, q.mendMissing()
	}
}

// mendRole says which role the token's user lacks, and where.
func (q *question) mendRole() string {
	scope := "its scope must be " + q.needs.scope
	if where := q.needs.where(); where != "" {
		return fmt.Sprintf("the token's user must be a reporter of %s; %s", where, scope)
	}
	switch r := q.needs.runner; r.Type {
	case "group_type":
		return fmt.Sprintf("the token's user must be an owner of group %d; %s", r.GroupID, scope)
	case "project_type":
		return fmt.Sprintf("the token's user must be a maintainer of project %d; %s", r.ProjectID, scope)
	case "instance_type":
		return "the token's user must be an administrator; " + scope
	}
	return "the token's user must be allowed to manage this runner; " + scope
}

func (q *question) mendMissing() string {
	if where := q.needs.where(); where != "" {
		return fmt.Sprintf("is the user of the token in %s a member of %s?", q.needs.tokenKey(), where)
	}
	switch r := q.needs.runner; r.Type {
	case "group_type":
		return fmt.Sprintf("is gitlab.group_id = %d right, and the token's user a member of that group?", r.GroupID)
	case "project_type":
		return fmt.Sprintf("is gitlab.project_id = %d right, and the token's user a member of that project?", r.ProjectID)
	case "instance_type":
		return "does gitlab.url name a GitLab from 16.0 on?"
	}
	return ""
}
