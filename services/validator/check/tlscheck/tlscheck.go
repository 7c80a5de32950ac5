// Package tlscheck looks at the certificate and the protocol of a TLS server.
//
// It agrees with the server on TLS as any client does, which verifies chain, name and time.
// Then it offers what is older than the check allows, and nothing else: a server that is to
// speak TLS 1.3 alone must refuse that.
package tlscheck

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of TLS checks (PD-6.1). It is safe for concurrent use.
type Prober struct {
	// Now is the clock that certificates are judged by. Nil means the machine's.
	Now func() time.Time
}

var _ check.Prober = Prober{}

// Probe looks once. A certificate that is not trusted, is of another name or ends too soon,
// an older protocol that is spoken or still accepted, a connection that is refused or cut,
// and silence until the timeout are failures; that the target could not be asked is an error.
func (p Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	if p.Now == nil {
		p.Now = time.Now
	}
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	probe, now, least := c.GetTls(), p.Now().UTC(), minVersion(c.GetTls())
	asked := target.Asked{Name: probe.GetName(), MinVersion: tls.VersionTLS10, CipherSuites: suites(), Now: now}
	state, err := t.Handshake(ctx, asked)
	if err != nil {
		return failed(err)
	}
	if state.Version < least {
		return check.Observation{Outcome: check.Failed, Detail: tls.VersionName(state.Version) + " is spoken, expected at least " + tls.VersionName(least)}
	}
	ends := end(state.VerifiedChains)
	seen := fmt.Sprintf("%s, certificate sha256:%x until %s", tls.VersionName(state.Version), sha256.Sum256(state.PeerCertificates[0].Raw), ends.UTC().Format(time.RFC3339))
	if days := probe.GetMinDays(); ends.Before(now.AddDate(0, 0, int(days))) {
		return check.Observation{Outcome: check.Failed, Detail: fmt.Sprintf("ends in %d days, expected at least %d: %s", int(ends.Sub(now)/(24*time.Hour)), days, seen)}
	}
	asked.MaxVersion = least - 1
	switch older, err := t.Handshake(ctx, asked); {
	case err == nil:
		return check.Observation{Outcome: check.Failed, Detail: tls.VersionName(older.Version) + " is still accepted: " + seen}
	case !errors.Is(err, target.ErrRefused):
		return failed(err)
	}
	return check.Observation{Outcome: check.Passed, Detail: seen}
}

// failed says whether a handshake that came to nothing speaks against the target.
func failed(err error) check.Observation {
	if errors.Is(err, target.ErrNoAnswer) {
		return check.Observation{Outcome: check.Failed, Detail: err.Error()}
	}
	return check.Observation{Outcome: check.Error, Detail: err.Error()}
}

// minVersion is the oldest version that the server may speak.
func minVersion(p *releasev1.TlsProbe) uint16 {
	if p.GetMinVersion() == releasev1.TlsProbe_VERSION_TLS_1_3 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// suites are all that this machine knows, so that a server which accepts old protocols with
// old ciphers alone is found out as well.
func suites() (all []uint16) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		all = append(all, s.ID)
	}
	return all
}

// end is when the certificate is trusted no more: at the first end in its chain, and where
// there are several chains in that which lasts longest, since one is enough for a client.
func end(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}
