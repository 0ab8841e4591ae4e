package world

import "fmt"

// APIError is how Auto Scaling refuses: the code and message of its answer.
type APIError struct {
	Code    string // ValidationError, ScalingActivityInProgress, …
	Message string // the vendor's wording
}

// Error is code and message.
func (e *APIError) Error() string { return e.Code + ": " + e.Message }

func invalid(format string, args ...any) *APIError {
	return &APIError{Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

func noGroup(name string) *APIError {
	return invalid("AutoScalingGroup name not found - AutoScalingGroup %s not found", name)
}

func noInstance(id string) *APIError {
	return invalid("Instance Id not found - No managed instance found for instance ID: %s", id)
}

func noAction(id string) *APIError {
	return invalid("No active Lifecycle Action found with instance ID %s", id)
}

// HTTPError is how GitLab refuses: the status, and the fields of the JSON object
// that comes with it.
type HTTPError struct {
	Status      int
	Message     string // field message
	Kind        string // field error, where GitLab answers as OAuth does
	Description string // field error_description
	Scope       string // field scope: what the token would need
	JobStatus   string // header Job-Status, for refusals of the job protocol
}

// Error is status and message.
func (e *HTTPError) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("%d %s: %s", e.Status, e.Kind, e.Description)
}

func forbidden() *HTTPError    { return &HTTPError{Status: 403, Message: "403 Forbidden"} }
func unauthorized() *HTTPError { return &HTTPError{Status: 401, Message: "401 Unauthorized"} }
func notFound(what string) *HTTPError {
	return &HTTPError{Status: 404, Message: "404 " + what + " Not Found"}
}

func badRequest(what string) *HTTPError { return &HTTPError{Status: 400, Kind: what} }
