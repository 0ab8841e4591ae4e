package emulator

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// The Query protocol of EC2, which differs from Auto Scaling's: no Result around
// the answer, errors of another form, lists as item elements.
const (
	ec2NS        = "http://ec2.amazonaws.com/doc/2016-11-15/"
	ec2Version   = "2016-11-15"
	ec2MaxFilter = 200
)

// toEC2 tells whether a request was signed for EC2.
func toEC2(r *http.Request) bool {
	scope, _, _ := strings.Cut(r.Header.Get("Authorization"), ",")
	return strings.HasSuffix(scope, "/ec2/aws4_request")
}

// ec2 is EC2: DescribeInstances, with the filter instance-id.
func (c *Cloud) ec2(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	f := form{r.Form}
	if f.Get("Action") != "DescribeInstances" || f.Get("Version") != ec2Version {
		writeEC2Error(w, http.StatusBadRequest, "InvalidAction", "The action "+f.Get("Action")+" is not valid for this web service.")
		return
	}
	ids, code := f.filtered()
	if code != "" {
		writeEC2Error(w, http.StatusBadRequest, code, "The filter is not valid for this request")
		return
	}
	var list []world.EC2View
	c.Do(func(w *world.World, now time.Time) { list = w.EC2(now, ids...) })
	_ = xml.NewEncoder(w).Encode(ec2Body(list)) // a client that is gone reads no error either
}

// filtered reads the values of the one filter that there may be.
func (f form) filtered() (ids []string, code string) {
	if f.Has("Filter.2.Name") || f.Has("InstanceId.1") || f.Get("Filter.1.Name") != "instance-id" {
		return nil, "InvalidParameterValue"
	}
	for i := 1; f.Has("Filter.1.Value." + strconv.Itoa(i)); i++ {
		ids = append(ids, f.Get("Filter.1.Value."+strconv.Itoa(i)))
	}
	if len(ids) == 0 || len(ids) > ec2MaxFilter {
		return nil, "FilterLimitExceeded"
	}
	return ids, ""
}

type ec2Answer struct {
	XMLName      xml.Name `xml:"DescribeInstancesResponse"`
	NS           string   `xml:"xmlns,attr"`
	RequestID    string   `xml:"requestId"`
	Reservations struct { // there even when it is empty
		Items []ec2Reservation `xml:"item"`
	} `xml:"reservationSet"`
}

type ec2Reservation struct {
	ID       string `xml:"reservationId"`
	Instance string `xml:"instancesSet>item>instanceId"`
	Code     int    `xml:"instancesSet>item>instanceState>code"`
	State    string `xml:"instancesSet>item>instanceState>name"`
	Type     string `xml:"instancesSet>item>instanceType"`
	Zone     string `xml:"instancesSet>item>placement>availabilityZone"`
}

var ec2Codes = map[string]int{
	world.EC2Pending: 0, world.EC2Running: 16, world.EC2ShuttingDown: 32, world.EC2Terminated: 48, world.EC2Stopped: 80,
}

func ec2Body(list []world.EC2View) ec2Answer {
	a := ec2Answer{NS: ec2NS, RequestID: requestID()}
	for _, v := range list {
		a.Reservations.Items = append(a.Reservations.Items, ec2Reservation{
			ID: "r-" + strings.TrimPrefix(v.ID, "i-"), Instance: v.ID, Code: ec2Codes[v.State], State: v.State, Type: v.Type, Zone: v.Zone,
		})
	}
	return a
}

func writeEC2Error(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_, _ = w.Write(ec2ErrorBody(code, message))
}

func ec2ErrorBody(code, message string) []byte {
	type body struct {
		XMLName   xml.Name `xml:"Response"`
		Code      string   `xml:"Errors>Error>Code"`
		Message   string   `xml:"Errors>Error>Message"`
		RequestID string   `xml:"RequestID"`
	}
	out, _ := xml.Marshal(body{Code: code, Message: message, RequestID: requestID()}) // strings always marshal
	return out
}

// EC2Fault answers as EC2 does when it refuses.
func EC2Fault(status int, code, message string) Fault {
	return Fault{Status: status, Body: string(ec2ErrorBody(code, message)), Header: http.Header{"Content-Type": {"text/xml;charset=UTF-8"}}}
}
