package secret

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// startMoto starts an independent AWS (Python's moto) on a free port and returns
// its address.
func startMoto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: no moto_server on the PATH, so nothing is checked against an independent AWS (pip install 'moto[server]')")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a shim starts the real one
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	awaitMoto(t, address, &log)
	return "http://" + address
}

func awaitMoto(t *testing.T, address string, log *bytes.Buffer) {
	t.Helper()
	deadline := time.After(time.Minute) // Python on a loaded machine
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("moto_server does not listen on %s: %s", address, log.String())
		}
	}
}

func TestAgainstMoto(t *testing.T) {
	r := resolver(t, startMoto(t))
	cfg, err := r.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const doc = `{"gitlab":{"token":"` + hidden + `"}}`
	for name, value := range map[string]string{"/ci/plain": hidden, "/ci/json": doc} {
		_, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String(name), Value: aws.String(value), Type: types.ParameterTypeSecureString,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	manager := secretsmanager.NewFromConfig(cfg)
	created, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("ci/json"), SecretString: aws.String(doc),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("ci/binary"), SecretBinary: []byte(hidden),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{
		"ssm:/ci/plain", "ssm:/ci/json#gitlab.token", "ssm:/ci/plain:1",
		"secretsmanager:ci/json#gitlab.token", "secretsmanager:" + *created.ARN + "#gitlab.token", "secretsmanager:ci/binary",
	} {
		if got, err := r.Resolve(t.Context(), ref); err != nil || got.Reveal() != hidden {
			t.Errorf("%s: got %v, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"ssm:/ci/missing", "secretsmanager:missing"} {
		_, err := r.Resolve(t.Context(), ref)
		expect(t, err, fleet.NotFound)
	}
}
