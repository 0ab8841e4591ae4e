package cli

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
)

// TestStopWhileTheSecretsAreRead is a clean stop: that the secret was not read in time
// says nothing of it, and a unit that ends by another code than 0 has failed.
func TestStopWhileTheSecretsAreRead(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // it takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": "http://" + silent.Addr().String(), "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} {
		t.Setenv(name, value)
	}
	environ := append(enough(t), "SHOAL_WEBHOOK_SECRETS=ssm:/x", "SHOAL_WEBHOOK_GROUPS=ci x6")
	var out, errs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if c, err := silent.Accept(); err == nil { // the secret is being read
			cancel()
			defer func() { _ = c.Close() }()
			<-t.Context().Done()
		}
	}()
	began := time.Now()
	code := Run(ctx, []string{"webhook", "--json"}, Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: environ})
	if code != int(life.Done) || !strings.Contains(out.String(), `"summary":"stopped"`) || ctx.Err() == nil {
		t.Errorf("exit %d after %s: %s%s", code, time.Since(began), &out, &errs)
	}
}
