package emulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// jsonService answers one operation of an AWS service that speaks JSON.
func jsonService(w http.ResponseWriter, r *http.Request, operation string, in any, do func() (out any, code, message string)) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", requestID())
	if !signed(r) {
		jsonError(w, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
		return
	}
	if targetOperation(r) != operation {
		jsonError(w, "UnknownOperationException", "")
		return
	}
	if err := json.NewDecoder(r.Body).Decode(in); err != nil {
		jsonError(w, "SerializationException", "the body is not JSON")
		return
	}
	out, code, message := do()
	if code != "" {
		jsonError(w, code, message)
		return
	}
	_ = json.NewEncoder(w).Encode(out)
}

func jsonError(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// ssm is AWS Systems Manager: GetParameter.
func (c *Cloud) ssm(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	jsonService(w, r, "GetParameter", &in, func() (any, string, string) {
		value, ok := c.opt.Parameters[in.Name]
		if !ok {
			return nil, "ParameterNotFound", ""
		}
		if !in.WithDecryption {
			value = "AQICAHencrypted" // what a SecureString looks like to those who did not ask
		}
		return map[string]any{"Parameter": map[string]any{
			"Name": in.Name, "Type": "SecureString", "Value": value, "Version": 1, "DataType": "text",
			"LastModifiedDate": epoch(time.Now()),
			"ARN":              "arn:aws:ssm:eu-central-1:000000000000:parameter/" + strings.TrimPrefix(in.Name, "/"),
		}}, "", ""
	})
}

// secretsManager is AWS Secrets Manager: GetSecretValue.
func (c *Cloud) secretsManager(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SecretID string `json:"SecretId"`
	}
	jsonService(w, r, "GetSecretValue", &in, func() (any, string, string) {
		value, ok := c.opt.Secrets[in.SecretID]
		if !ok {
			return nil, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
		}
		return map[string]any{
			"Name": in.SecretID, "SecretString": value, "VersionStages": []string{"AWSCURRENT"},
			"VersionId": "00000000-0000-4000-8000-000000000000", "CreatedDate": epoch(time.Now()),
			"ARN": "arn:aws:secretsmanager:eu-central-1:000000000000:secret:" + in.SecretID + "-aaaaaa",
		}, "", ""
	})
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
