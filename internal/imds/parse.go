package imds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// targetStates are the words that may stand in target-lifecycle-state. Anything
// else is somebody else's answer, and unknown.
var targetStates = map[fleet.LifecycleState]bool{
	fleet.InService: true, fleet.Terminated: true, fleet.Detached: true, fleet.Standby: true,
	"Warmed:Running": true, "Warmed:Stopped": true, "Warmed:Hibernated": true, "Warmed:Terminated": true,
}

func parseTargetState(body []byte) (fleet.LifecycleState, error) {
	s := fleet.LifecycleState(bytes.TrimSpace(body))
	if !targetStates[s] {
		return "", fmt.Errorf("unknown state %s", quoted(body))
	}
	return s, nil
}

func parseSpotAction(body []byte) (fleet.SpotAction, error) {
	var v struct {
		Action string `json:"action"`
		Time   string `json:"time"`
	}
	if err := decode(body, &v); err != nil {
		return fleet.SpotAction{}, err
	}
	switch v.Action {
	case "terminate", "stop", "hibernate":
	default:
		return fleet.SpotAction{}, fmt.Errorf("unknown action in %s", quoted(body))
	}
	at, err := time.Parse(time.RFC3339, v.Time)
	if err != nil {
		return fleet.SpotAction{}, fmt.Errorf("no time in %s", quoted(body))
	}
	return fleet.SpotAction{Action: v.Action, Time: at.UTC()}, nil
}

// parseRebalance returns when the recommendation was made.
func parseRebalance(body []byte) (time.Time, error) {
	var v struct {
		NoticeTime string `json:"noticeTime"`
	}
	if err := decode(body, &v); err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, v.NoticeTime)
	if err != nil {
		return time.Time{}, fmt.Errorf("no noticeTime in %s", quoted(body))
	}
	return at.UTC(), nil
}

func parseMaintenance(body []byte) ([]fleet.MaintenanceEvent, error) {
	var list []struct{ EventID, Code, State, Description, NotBefore string }
	if err := decode(body, &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("no list: %s", quoted(body))
	}
	var events []fleet.MaintenanceEvent
	for _, e := range list {
		at, err := maintenanceTime(e.NotBefore)
		if err != nil || e.EventID == "" || e.Code == "" || e.State == "" {
			return nil, fmt.Errorf("an event lacks EventId, Code, State or NotBefore: %s", quoted(body))
		}
		events = append(events, fleet.MaintenanceEvent{
			ID: e.EventID, Code: e.Code, State: e.State, Description: e.Description, NotBefore: at,
		})
	}
	return events, nil
}

// maintenanceTime reads the service's form, 21 Jan 2019 09:00:43 GMT. No other
// zone is read: Go would take an unknown abbreviation for GMT.
func maintenanceTime(s string) (time.Time, error) {
	if at, err := time.Parse("2 Jan 2006 15:04:05 GMT", s); err == nil {
		return at.UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	return at.UTC(), err
}

var (
	instanceForm = regexp.MustCompile(`^i-[0-9a-z]{1,32}$`)
	regionForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{1,63}$`)
	accountForm  = regexp.MustCompile(`^[0-9]{12}$`)
)

func parseIdentity(body []byte) (fleet.Identity, error) {
	var v struct{ InstanceID, InstanceType, Region, AvailabilityZone, AccountID string }
	if err := decode(body, &v); err != nil {
		return fleet.Identity{}, err
	}
	switch {
	case !instanceForm.MatchString(v.InstanceID):
		return fleet.Identity{}, fmt.Errorf("no instanceId in %s", quoted(body))
	case !regionForm.MatchString(v.Region):
		return fleet.Identity{}, fmt.Errorf("no region in %s", quoted(body))
	case !regionForm.MatchString(v.AvailabilityZone):
		return fleet.Identity{}, fmt.Errorf("no availabilityZone in %s", quoted(body))
	case !accountForm.MatchString(v.AccountID):
		return fleet.Identity{}, fmt.Errorf("no accountId in %s", quoted(body))
	}
	return fleet.Identity{
		InstanceID: v.InstanceID, InstanceType: v.InstanceType, Region: v.Region,
		AvailabilityZone: v.AvailabilityZone, AccountID: v.AccountID,
	}, nil
}

// maxGroupName is Auto Scaling's own limit, in characters.
const maxGroupName = 255

func parseGroupName(body []byte) (string, error) {
	name := string(bytes.TrimRight(body, "\r\n"))
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxGroupName {
		return "", fmt.Errorf("no group name: %s", quoted(body))
	}
	if name[0] == '<' || strings.ContainsFunc(name, unicode.IsControl) { // a page, not a tag
		return "", fmt.Errorf("no group name: %s", quoted(body))
	}
	return name, nil
}

// decode reads exactly one JSON value; fields that we do not know are left, for
// the service adds some.
func decode(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return errors.New("the body is empty")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %s", err, quoted(body))
	}
	return nil
}

// maxQuoted is how much of a body stands in an error: enough to see whose page
// it is.
const maxQuoted = 80

func quoted(body []byte) string {
	if len(body) > maxQuoted {
		return fmt.Sprintf("%q…", body[:maxQuoted])
	}
	return fmt.Sprintf("%q", body)
}
