package gitlab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// question is one request: what it is for, whose token it shows, and what came
// back.
type question struct {
	client *Client
	op     string
	needs  needs
	token  fleet.Token
	answer answer
}

// needs is what a request takes, for the words of a refusal.
type needs struct {
	who     holder
	scope   string // of an API token
	key     string // that names the token; empty for gitlab.token
	runner  fleet.NewRunner
	project int64  // whose jobs are read; 0 where it is about runners
	place   string // "project group/app", where only its name is known
}

func (n needs) tokenKey() string { return cmp.Or(n.key, "gitlab.token") }

// where is the project or group whose jobs are read; empty where it is about runners.
func (n needs) where() string {
	if n.project != 0 {
		return fmt.Sprintf("project %d", n.project)
	}
	return n.place
}

// holder is the kind of token that a request shows.
type holder int

const (
	runnerToken holder = iota
	registrationToken
	apiToken
)

func (c *Client) ask(op string, n needs, token fleet.Token) *question {
	return &question{client: c, op: op, needs: n, token: token}
}

// do carries a call of the library out, with the token in its header where it is
// an API token.
func (q *question) do(ctx context.Context, call func(...api.RequestOptionFunc) error) error {
	if q.token.IsZero() {
		return &fleet.Failure{Kind: fleet.BadToken, Op: q.op, Message: "the token is empty", Mend: "look at the secret that " + q.needs.tokenKey() + " names"}
	}
	ctx, cancel := context.WithTimeout(ctx, q.client.timeout)
	defer cancel()
	q.answer = answer{}
	opts := []api.RequestOptionFunc{api.WithContext(withAnswer(ctx, &q.answer))}
	if q.needs.who == apiToken {
		opts = append(opts, api.WithToken(api.PrivateToken, q.token.Reveal()))
	}
	if err := call(opts...); err != nil {
		return q.classify(ctx, err)
	}
	return nil
}

// send is a request that the library has no method for, or sends in a way that
// leaks. An empty answer is fine.
func (q *question) send(ctx context.Context, method, path string, body credentials, into any) error {
	return q.do(ctx, func(opts ...api.RequestOptionFunc) error {
		req, err := q.client.api.NewRequest(method, path, nil, opts)
		if err != nil {
			return err
		}
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		if err := req.SetBody(data); err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		if into == nil {
			_, err = q.client.api.Do(req, io.Discard)
			return err
		}
		_, err = q.client.api.Do(req, into)
		if errors.Is(err, io.EOF) && q.answer.status/100 == 2 {
			return nil // no body: older servers
		}
		return err
	})
}

// registered is a runner that GitLab made; an answer without one leaves unknown
// whether it did.
func (q *question) registered(id int64, token string) (fleet.RegisteredRunner, error) {
	if id <= 0 || token == "" {
		return fleet.RegisteredRunner{}, q.strange("the answer has no id or no token")
	}
	return fleet.RegisteredRunner{ID: id, Token: fleet.NewToken(token)}, nil
}

// strange is an answer that nobody understands: whether the effect took place is
// unknown.
func (q *question) strange(message string) *fleet.Failure {
	return &fleet.Failure{Kind: fleet.Temporary, Op: q.op, Message: message}
}

// ok tells whether the server said yes.
func (a *answer) ok() bool { return a.status >= http.StatusOK && a.status < http.StatusMultipleChoices }
