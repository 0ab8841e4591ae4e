package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/shoal-ci/shoal/internal/demand"
	"github.com/shoal-ci/shoal/internal/life"
)

func (s *service) certificate() demand.Certificate {
	return demand.Certificate{File: s.Webhook.TLSCert, Key: s.Webhook.TLSKey}
}

// checkCertificate finds TLS's files wanting before anybody is told that events are
// served. Trying again would not mend them.
func checkCertificate(c demand.Certificate) error {
	if c.File == "" {
		return nil
	}
	_, err := tls.LoadX509KeyPair(c.File, c.Key)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("read the certificate in webhook.tls_cert and its key in webhook.tls_key: %w", err)
	return &commandError{code: life.BadUsage, err: err, hint: mendCertificate(err)}
}

func mendCertificate(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "write it there, or correct the path; behind a load balancer that ends TLS take both keys out"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that Shoal runs as read it, or have systemd pass it in: /etc/credstore/tls-cert and tls-key"
	}
	return "both are PEM: the server's certificate with those of its chain after it, and that certificate's private key without a passphrase"
}

// listenFailed says what to do about an address that cannot be had. It is no bad
// configuration: the next try may find it free, as when one webhook follows another.
func listenFailed(err error) error {
	e := &commandError{code: life.Failed, err: err}
	const other = "choose another by webhook.listen or --listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.hint = `another program listens there, which "ss -ltnp" shows: stop it, or ` + other
	case errors.Is(err, syscall.EACCES):
		e.hint = "ports below 1024 are root's: " + other
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.hint = "no address of this machine: " + other
	}
	return e
}
