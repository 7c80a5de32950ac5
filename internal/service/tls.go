package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

var (
	// ErrTLSPair means that of certificate and key one is configured without the
	// other, or that a server has neither.
	ErrTLSPair = errors.New("certificate and key must be configured together")
	// ErrNoCertificates means that a CA file holds no certificate.
	ErrNoCertificates = errors.New("no certificate in the CA file")
)

// credentials are the certificate, key and CA of a configuration. They follow
// their files: each use looks whether a file changed, which costs three stat
// calls per handshake and needs no watcher. New files that do not fit together,
// as in the middle of a rotation, leave the old ones in force.
type credentials struct {
	files []string // certificate, key, CA; "" where not configured

	mu     sync.Mutex
	stamps []fs.FileInfo // of the last attempt to load
	loaded loaded
}

// loaded is one consistent set of what the files held.
type loaded struct {
	certificate *tls.Certificate // nil without one
	roots       *x509.CertPool   // nil without one
}

// newCredentials loads the files for the first time.
func newCredentials(cfg *configv1.Tls) (*credentials, error) {
	if (cfg.GetCertificateFile() == "") != (cfg.GetKeyFile() == "") {
		return nil, ErrTLSPair
	}
	c := &credentials{files: []string{cfg.GetCertificateFile(), cfg.GetKeyFile(), cfg.GetCaFile()}}
	var err error
	if c.stamps, err = c.stat(); err != nil {
		return nil, err
	}
	c.loaded, err = c.load()
	return c, err
}

// current returns what the files hold, or held when they last fitted together.
func (c *credentials) current(ctx context.Context) loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps, err := c.stat()
	if err == nil && same(stamps, c.stamps) {
		return c.loaded
	}
	if err == nil {
		// Kept also when loading fails: the next change of a file tries again.
		c.stamps = stamps
		var fresh loaded
		if fresh, err = c.load(); err == nil {
			c.loaded = fresh
			slog.InfoContext(ctx, "certificates reloaded", slog.String("certificate_file", c.files[0]))
			return c.loaded
		}
	}
	slog.WarnContext(ctx, "certificates not reloaded, the old ones stay in force", slog.Any("error", err))
	return c.loaded
}

func (c *credentials) stat() ([]fs.FileInfo, error) {
	out := make([]fs.FileInfo, len(c.files))
	for i, path := range c.files {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look at TLS file: %w", err)
		}
		out[i] = info
	}
	return out, nil
}

// same reports whether both describe the same files in the same state.
func same(a, b []fs.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			continue // not configured
		}
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}

func (c *credentials) load() (loaded, error) {
	var out loaded
	if c.files[0] != "" {
		certificate, err := readLimited(c.files[0], maxConfigBytes)
		if err != nil {
			return loaded{}, fmt.Errorf("read certificate: %w", err)
		}
		key, err := readSecretFile(c.files[1])
		if err != nil {
			return loaded{}, fmt.Errorf("read private key: %w", err)
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return loaded{}, fmt.Errorf("pair certificate %s with its key: %w", c.files[0], err)
		}
		out.certificate = &pair
	}
	if c.files[2] != "" {
		pem, err := readLimited(c.files[2], maxConfigBytes)
		if err != nil {
			return loaded{}, fmt.Errorf("read CA: %w", err)
		}
		out.roots = x509.NewCertPool()
		if !out.roots.AppendCertsFromPEM(pem) {
			return loaded{}, fmt.Errorf("read CA %s: %w", c.files[2], ErrNoCertificates)
		}
	}
	return out, nil
}

// ServerTLS returns the configuration of a TLS 1.3 server whose certificate
// follows its files. With a CA file every client must show a certificate signed
// by it. It returns nil for a nil cfg, which means plain text.
func ServerTLS(cfg *configv1.Tls) (*tls.Config, error) {
	if cfg == nil {
		return nil, nil //nolint:nilnil // no TLS is a valid choice and no error
	}
	c, err := newCredentials(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure TLS: %w", err)
	}
	if c.loaded.certificate == nil {
		return nil, fmt.Errorf("configure TLS server: %w", ErrTLSPair)
	}
	base := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}
	outer := base.Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		now := c.current(hello.Context())
		inner := base.Clone()
		inner.Certificates = []tls.Certificate{*now.certificate}
		if now.roots != nil {
			inner.ClientAuth = tls.RequireAndVerifyClientCert
			inner.ClientCAs = now.roots
		}
		return inner, nil
	}
	return outer, nil
}

// ClientTLS returns the configuration of a TLS 1.3 client. Its certificate, if
// it has one, follows its files; its CA is read once. Without a CA file the
// system's are trusted. It returns nil for a nil cfg, which means plain text.
func ClientTLS(cfg *configv1.Tls) (*tls.Config, error) {
	if cfg == nil {
		return nil, nil //nolint:nilnil // no TLS is a valid choice and no error
	}
	c, err := newCredentials(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure TLS: %w", err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: c.loaded.roots}
	if c.loaded.certificate != nil {
		out.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.current(request.Context()).certificate, nil
		}
	}
	return out, nil
}
