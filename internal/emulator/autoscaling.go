package emulator

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// The Query protocol of Auto Scaling.
const (
	autoScalingNS      = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
	autoScalingVersion = "2011-01-01"
)

// awsHandler answers for all AWS services on one port, told apart as AWS_ENDPOINT_URL
// wants it: JSON services by their X-Amz-Target, EC2 by what the request was signed
// for, all else is Auto Scaling's.
func (c *Cloud) awsHandler() http.Handler {
	query := c.guard(ServiceAutoScaling, "", queryAction, http.HandlerFunc(c.autoScaling))
	ec2 := c.guard(ServiceEC2, "", queryAction, http.HandlerFunc(c.ec2))
	ssm := c.guard(ServiceSSM, "", targetOperation, http.HandlerFunc(c.ssm))
	secrets := c.guard(ServiceSecrets, "", targetOperation, http.HandlerFunc(c.secretsManager))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch service, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); {
		case service == "AmazonSSM":
			ssm.ServeHTTP(w, r)
		case service == "secretsmanager":
			secrets.ServeHTTP(w, r)
		case toEC2(r):
			ec2.ServeHTTP(w, r)
		default:
			query.ServeHTTP(w, r)
		}
	})
}

func targetOperation(r *http.Request) string {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return op
}

// queryAction reads the form, whose size guard has bounded already.
func queryAction(r *http.Request) string {
	if err := r.ParseForm(); err != nil {
		return ""
	}
	return r.Form.Get("Action")
}

// signed tells whether a request carries a signature. It is not verified: what
// matters is that a client without credentials is told so.
func signed(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=") || r.URL.Query().Has("X-Amz-Signature")
}

func (c *Cloud) autoScaling(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", id)
	operation, known := autoScalingOperations[r.Form.Get("Action")]
	switch {
	case !signed(r):
		writeAWSError(w, http.StatusForbidden, &world.APIError{Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"}, id)
		return
	case !known || r.Form.Get("Version") != autoScalingVersion:
		writeAWSError(w, http.StatusBadRequest, &world.APIError{Code: "InvalidAction", Message: "Could not find operation " + r.Form.Get("Action") + " for version " + r.Form.Get("Version")}, id)
		return
	}
	var result any
	var err error
	c.Do(func(w *world.World, now time.Time) { result, err = operation(w, now, form{r.Form}) })
	if err != nil {
		writeAWSError(w, http.StatusBadRequest, err, id)
		return
	}
	writeAWSResult(w, r.Form.Get("Action"), result, id)
}

func writeAWSError(w http.ResponseWriter, status int, err error, id string) {
	var e *world.APIError
	if !errors.As(err, &e) {
		e, status = &world.APIError{Code: "InternalFailure", Message: err.Error()}, http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_, _ = w.Write(awsErrorBody(e.Code, e.Message, id))
}

// awsErrorBody is the Query protocol's error document.
func awsErrorBody(code, message, id string) []byte {
	type body struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		NS        string   `xml:"xmlns,attr"`
		Type      string   `xml:"Error>Type"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestID string   `xml:"RequestId"`
	}
	out, _ := xml.Marshal(body{NS: autoScalingNS, Type: "Sender", Code: code, Message: message, RequestID: id}) // strings always marshal
	return out
}

// writeAWSResult wraps a result as <ActionResponse><ActionResult>…; operations
// without one have only the metadata.
func writeAWSResult(w http.ResponseWriter, action string, result any, id string) {
	start := func(name string) xml.StartElement { return xml.StartElement{Name: xml.Name{Local: name}} }
	root := start(action + "Response")
	root.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: autoScalingNS}}
	e := xml.NewEncoder(w)
	_ = e.EncodeToken(root)
	if result != nil {
		_ = e.EncodeElement(result, start(action+"Result"))
	}
	_ = e.EncodeElement(struct {
		RequestID string `xml:"RequestId"`
	}{id}, start("ResponseMetadata"))
	_ = e.EncodeToken(root.End())
	_ = e.Flush() // a client that is gone reads no error either
}

// form reads the parameters of the Query protocol.
type form struct{ url.Values }

// list reads Name.member.1, Name.member.2, …
func (f form) list(name string) []string {
	var out []string
	for i := 1; f.Has(name + ".member." + strconv.Itoa(i)); i++ {
		out = append(out, f.Get(name+".member."+strconv.Itoa(i)))
	}
	return out
}

// number reads a whole number; nil when it is absent.
func (f form) number(name string) (*int, error) {
	if !f.Has(name) {
		return nil, nil
	}
	n, err := strconv.Atoi(f.Get(name))
	if err != nil {
		return nil, &world.APIError{Code: "MalformedInput", Message: "Invalid integer for " + name}
	}
	return &n, nil
}

// boolean reads true or false; nil when it is absent.
func (f form) boolean(name string) *bool {
	if !f.Has(name) {
		return nil
	}
	b := strings.EqualFold(f.Get(name), "true")
	return &b
}

// need refuses a request that lacks a parameter.
func (f form) need(names ...string) error {
	for _, n := range names {
		if f.Get(n) == "" {
			lower := strings.ToLower(n[:1]) + n[1:]
			return &world.APIError{Code: "ValidationError", Message: "1 validation error detected: Value null at '" + lower + "' failed to satisfy constraint: Member must not be null"}
		}
	}
	return nil
}
