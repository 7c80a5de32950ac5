package risk

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// neighbors holds the release while one of a service that it depends on, or that depends on
// it, is between its start and its end (PD-3.3). An emergency and a way back do not wait for
// it: what is in flight may be stuck until a person decides, and may be what has to be put
// right. That they went by is called out, for whoever approves them.
func (l *look) neighbors(ctx context.Context) error {
	found, err := inflight.Find(ctx, l.store, inflight.Look{State: l.state, Documents: []*policy.Index{l.index}, Now: l.now})
	if err != nil || len(found) == 0 {
		return err
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

// passed are the releases in flight and the incidents that an emergency did not wait for, of
// what was found: it is listed with everything else that the emergency goes around. A way back
// goes around nothing by that.
func passed(state procedure.State, found []*releasev1.Finding) []string {
	if !state.Emergency() {
		return nil
	}
	var out []string
	for _, f := range found {
		switch {
		case f.GetSeverity() != releasev1.Finding_SEVERITY_WARNING:
		case slices.Contains(inflight.Rules, f.GetRule()):
			out = append(out, inflight.Around(f.GetSubject()))
		case f.GetRule() == incident.Rule:
			out = append(out, incident.Around(f.GetSubject()))
		}
	}
	return out
}
