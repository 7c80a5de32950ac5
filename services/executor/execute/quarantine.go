package execute

import (
	"context"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
)

// quarantined says which artifact of a wave that was claimed another release put into
// quarantine since; empty where none, and where an emergency goes around it (PD-2.3). What
// the claim looked at may be a night old, and that night may be the one in which the
// artifact failed elsewhere.
func (s shell) quarantined(ctx context.Context, t reactor.Task) (string, error) {
	bypassable, err := s.bypassable(ctx, t)
	if err != nil {
		return "", err
	}
	findings, _, err := s.Quarantined(ctx, t.State, bypassable)
	if err != nil || len(findings) == 0 {
		return "", err
	}
	return "artifact " + findings[0].GetSubject() + " is in quarantine since: " + findings[0].GetMessage(), nil
}

// unwritten returns another claim where an emergency is about to go around a freeze, an alert
// or a quarantine that came since its claim: before the effect it is on record which it went
// around (PD-A.5). Where the class of the targets allows no other claim now, the emergency
// does not wait for it; what has begun goes on in any case.
func (s shell) unwritten(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	if ok, _ := procedure.MayTakeOver(t.State, t.State.WaveTargets(), t.Now); !ok || !t.State.Emergency() || s.begun(ctx, t) {
		return nil, nil
	}
	around, _, err := s.around(ctx, t)
	if err != nil {
		return nil, err
	}
	fired, err := s.alerts(ctx, t)
	if err != nil || len(around)+len(fired.bypassed) == 0 {
		return nil, err
	}
	return s.claim(ctx, t, nil, records{}, fired, proofs{})
}
