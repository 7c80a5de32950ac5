// Package httpcheck asks a target for a page and looks at the answer.
//
// Where the target is stands in the configuration; the check adds a path. What else
// could lead elsewhere, such as redirects, names and proxies, is shut off in package
// target. A body is looked at and forgotten: of what it held only the size and the
// SHA-256 are kept, since pages of production may hold secrets.
package httpcheck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of HTTP checks (PD-6.1). It is safe for concurrent use.
type Prober struct{}

var _ check.Prober = Prober{}

// Probe asks once. A wrong status, a body without the expected text, a connection that
// is refused or cut, and silence until the timeout are failures; that the target could
// not be asked, or answered more than is taken in, is an error.
func (Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	probe := c.GetHttp()
	ctx, cancel := context.WithTimeout(ctx, check.Timeout(probe.GetTimeout()))
	defer cancel()
	expected := check.ExpectedStatus(probe)
	// Who expects a redirect wants to see it, not where it leads.
	follow := expected < 300 || expected > 399
	answer, err := t.Get(ctx, probe.GetPath(), follow)
	switch {
	case errors.Is(err, target.ErrNoAnswer):
		return check.Observation{Outcome: check.Failed, Detail: err.Error()}
	case err != nil:
		return check.Observation{Outcome: check.Error, Detail: err.Error()}
	case answer.Status != int(expected):
		return check.Observation{Outcome: check.Failed, Detail: fmt.Sprintf("status %d, expected %d", answer.Status, expected)}
	}
	seen := fmt.Sprintf("status %d, %d bytes, sha256:%x", answer.Status, len(answer.Body), sha256.Sum256(answer.Body))
	if text := probe.GetExpectBody(); !bytes.Contains(answer.Body, []byte(text)) {
		return check.Observation{Outcome: check.Failed, Detail: "the expected text is missing: " + seen}
	}
	return check.Observation{Outcome: check.Passed, Detail: seen}
}
