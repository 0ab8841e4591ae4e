package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// The metadata service's headers, and the bounds of a token's life in seconds.
const (
	headerToken    = "X-Aws-Ec2-Metadata-Token"             //nolint:gosec // a header's name
	headerTokenTTL = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds" //nolint:gosec // a header's name
	minTokenTTL    = 1
	maxTokenTTL    = 21600
)

// metadata is the metadata service of one instance.
type metadata struct {
	cloud *Cloud
	id    string
	face  *face

	mu     sync.Mutex
	serial int
	tokens map[string]time.Time // until when each is good
}

// openMetadata makes an instance's metadata service. The caller holds mu.
func (c *Cloud) openMetadata(id string) {
	if c.closed {
		return
	}
	m := &metadata{cloud: c, id: id, tokens: map[string]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", m.issue)
	mux.HandleFunc("GET /latest/", m.get)
	name := func(r *http.Request) string { return r.Method + " " + r.URL.Path }
	m.face = newFace(c.guard(ServiceMetadata, id, name, mux))
	if err := c.listen(m.face); err != nil {
		return // no port left: the instance finds no metadata service, as on a sick host
	}
	c.meta[id] = m
}

// closeMetadata ends an instance's metadata service with its machine. The caller
// holds mu.
func (c *Cloud) closeMetadata(id string) {
	if m := c.meta[id]; m != nil {
		m.face.close()
		delete(c.meta, id)
	}
}

// issue answers the PUT that every session with the service begins with.
func (m *metadata) issue(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get(headerTokenTTL))
	switch {
	case r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Forbidden", http.StatusForbidden) // a proxy must not get tokens
		return
	case err != nil || ttl < minTokenTTL || ttl > maxTokenTTL:
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	w.Header().Set(headerTokenTTL, strconv.Itoa(ttl))
	_, _ = io.WriteString(w, m.newToken(time.Duration(ttl)*time.Second))
}

func (m *metadata) newToken(ttl time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for t, until := range m.tokens {
		if !now.Before(until) {
			delete(m.tokens, t)
		}
	}
	m.serial++
	t := "AQAEA-" + m.id + "-" + strconv.Itoa(m.serial) + "=="
	m.tokens[t] = now.Add(ttl)
	return t
}

func (m *metadata) allowed(r *http.Request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, known := m.tokens[r.Header.Get(headerToken)]
	return known && time.Now().Before(until)
}

// get answers a path of the tree.
func (m *metadata) get(w http.ResponseWriter, r *http.Request) {
	if !m.allowed(r) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	var d world.Metadata
	var up bool
	var at time.Time
	m.cloud.Do(func(w *world.World, now time.Time) {
		at = now
		d, up = w.Metadata(now, m.id)
	})
	if !up {
		panic(http.ErrAbortHandler) // a machine that is off has no network
	}
	body := metadataAt(at, d, strings.TrimPrefix(r.URL.Path, "/latest/"))
	if body == "" {
		http.Error(w, "Not Found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, body) //nolint:gosec // plain text, as the header says
}

// metadataAt is what there is at a path; empty for nothing.
func metadataAt(now time.Time, d world.Metadata, path string) string {
	switch path {
	case "dynamic/instance-identity/document":
		return identityDocument(d)
	case "meta-data/instance-id":
		return d.InstanceID
	case "meta-data/instance-type":
		return d.InstanceType
	case "meta-data/placement/availability-zone":
		return d.Zone
	case "meta-data/placement/region":
		return d.Region
	case "meta-data/autoscaling/target-lifecycle-state":
		return string(d.Target)
	case "meta-data/tags/instance/aws:autoscaling:groupName":
		return d.Group
	case "meta-data/iam/security-credentials/":
		return role
	case "meta-data/iam/security-credentials/" + role:
		return roleCredentials(now)
	}
	return notices(d, path)
}

// notices is metadataAt for what an instance is told of its end.
func notices(d world.Metadata, path string) string {
	switch path {
	case "meta-data/spot/instance-action":
		if d.Spot != nil {
			return asJSON(map[string]string{"action": d.Spot.Action, "time": metadataTime(d.Spot.Time)})
		}
	case "meta-data/spot/termination-time":
		if d.Spot != nil {
			return metadataTime(d.Spot.Time)
		}
	case "meta-data/events/recommendations/rebalance":
		if !d.Rebalance.IsZero() {
			return asJSON(map[string]string{"noticeTime": metadataTime(d.Rebalance)})
		}
	case "meta-data/events/maintenance/scheduled":
		return maintenanceList(d.Maintenance)
	}
	return ""
}

// role is the instance's, with credentials that the emulated services take as
// they take any.
const (
	role            = "instance"
	credentialsLife = 6 * time.Hour // as EC2 has it, roughly
)

func roleCredentials(now time.Time) string {
	return asJSON(map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": metadataTime(now), "Expiration": metadataTime(now.Add(credentialsLife)),
		"AccessKeyId": "ASIAEMULATED", "SecretAccessKey": "emulated", "Token": "emulated",
	})
}

func identityDocument(d world.Metadata) string {
	return asJSON(map[string]any{
		"instanceId": d.InstanceID, "instanceType": d.InstanceType, "region": d.Region, "availabilityZone": d.Zone,
		"accountId": d.AccountID, "architecture": "x86_64", "imageId": "ami-00000000000000000",
		"privateIp": "127.0.0.1", "version": "2017-09-30", "kernelId": nil, "ramdiskId": nil,
		"billingProducts": nil, "devpayProductCodes": nil, "marketplaceProductCodes": nil,
	})
}

func maintenanceList(list []world.Maintenance) string {
	out := []map[string]string{}
	for _, e := range list {
		out = append(out, map[string]string{
			"Code": e.Code, "State": e.State, "Description": e.Description, "EventId": e.EventID,
			"NotBefore": maintenanceTime(e.NotBefore), "NotAfter": maintenanceTime(e.NotAfter),
		})
	}
	return asJSON(out)
}

func metadataTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// maintenanceTime is the form that only this path has.
func maintenanceTime(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 GMT") }

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // strings and maps of strings: cannot happen
	}
	return string(b)
}
