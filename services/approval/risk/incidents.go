package risk

import (
	"context"
	"strings"

	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/internal/policy"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// incidents holds the release while another one has an open incident that the document counts
// (PD-3.3). An emergency and a way back do not wait: they may be what resolves it.
func (l *look) incidents(ctx context.Context) error {
	services := incident.Services(l.index, l.state.Request)
	if len(services) == 0 {
		return nil
	}
	found, err := incident.Find(ctx, l.store, l.state, []*policy.Index{l.index})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		l.find(releasev1.Finding_SEVERITY_OK, incident.Rule, "", "no other release has an open incident, of %s", strings.Join(services, ", "))
		return nil
	}
	normal, err := l.normal(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		if normal {
			l.hold(f.Hold())
			continue
		}
		l.facts.Findings = append(l.facts.Findings, f.Called())
	}
	return nil
}
