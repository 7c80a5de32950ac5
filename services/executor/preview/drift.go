package preview

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// ruleDrift names a target that carries something else than the record says.
const ruleDrift = "target.drift"

// ruleUnknown names a target of which nobody knows what it carries.
const ruleUnknown = "target.unknown"

// wayBack returns what a target goes back to (PD-3.5): what it carries, or, where that
// cannot be told, what it carries by the record. Where the two differ, somebody
// changed the target by hand: steps 2 and 3 judged what is not there, so that a planned
// release is refused, and one that cannot wait goes on from what is there, called out.
// Where nobody knows what it carries, there is no way back.
func (s shell) wayBack(ctx context.Context, state procedure.State, id string) (string, *releasev1.Finding, error) {
	seen := state.Scoped(id).GetState()
	recorded := seen.GetDeployed().GetDigest()
	target, err := standing.ReadTarget(ctx, s.Store, id)
	if err != nil {
		return "", nil, err
	}
	carries, known, err := s.Carries(ctx, id, target, state.Release)
	switch {
	case err != nil:
		return "", nil, err
	case !known && seen.GetUnknownSince() != "":
		return "", &releasev1.Finding{Rule: ruleUnknown, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: id, Message: fmt.Sprintf(
			"nobody knows what it carries since release %s was accepted as it was: there is no way back", seen.GetUnknownSince())}, nil
	case !known, carries == recorded:
		return recorded, nil, nil
	case seen.GetUnknownSince() != "":
		return carries, nil, nil // It can tell again, and what it tells was never on record.
	case target.State.GetGeneration() != seen.GetGeneration():
		// Another release was there since step 2. Step 3 sees that, and has it all
		// looked at again.
		return carries, nil, nil
	}
	severity := releasev1.Finding_SEVERITY_BLOCKING
	if state.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED {
		severity = releasev1.Finding_SEVERITY_WARNING
	}
	return carries, &releasev1.Finding{Rule: ruleDrift, Severity: severity, Subject: id, Message: fmt.Sprintf(
		"it carries %s, and %s by the record: it was changed by hand", short(carries), short(recorded))}, nil
}

// short is enough of a digest to know it again: there is one finding for each target,
// and all of them are in one event.
func short(digest string) string {
	const enough = len("sha256:") + 12
	return site.OrNothing(digest[:min(len(digest), enough)])
}
