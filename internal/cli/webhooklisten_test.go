package cli

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
)

// TestAddressInUse is no bad configuration, and says what to do.
func TestAddressInUse(t *testing.T) {
	var config net.ListenConfig
	first, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	_, err = config.Listen(t.Context(), "tcp", first.Addr().String())
	var e *commandError
	if !errors.As(listenFailed(err), &e) || e.code != life.Failed || !strings.Contains(e.hint, "ss -ltnp") {
		t.Errorf("got %+v", e)
	}
}
