package execute

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// Rules of holds by versions, as step 2 calls what it finds.
const (
	ruleNeeds    = "dependency.version"
	ruleNeededBy = "dependent.version"
)

// needs names the requirements of the catalogue that do not hold any more (PD-3.3): since
// step 2, what the service needs may have been taken back, or what needs it released. The
// next wave waits until it is put right. It is asked of what step 2 would refuse, by the
// document of the release and by the one in effect now: planned releases, and requirements
// whose severity stops.
func (s shell) needs(ctx context.Context, t reactor.Task, documents []*policy.Index) ([]*releasev1.HoldReason, error) {
	r := t.State.Request
	if r.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED {
		return nil, nil
	}
	read := func(id string) (*releasev1.TargetState, error) {
		at, err := standing.ReadTarget(ctx, s.Store, id)
		return at.State, err
	}
	var out []*releasev1.HoldReason
	say := func(rule, subject, format string, args ...any) {
		out = unnamed(out, []*releasev1.HoldReason{{Rule: rule, Subject: subject, Message: site.Line(fmt.Sprintf(format, args...))}})
	}
	for _, index := range documents {
		for _, need := range index.Service(r.GetService()).GetRequirements() {
			live, err := index.LiveOf(r.GetEnvironment(), need.GetService(), read)
			if err != nil {
				return nil, err
			}
			if why := policy.Unmet(need, r.GetEnvironment(), live); why != "" && stops(need.GetSeverity()) {
				say(ruleNeeds, need.GetService(), "%s needs %s %s, and %s", r.GetService(), need.GetService(), need.GetVersions(), why)
			}
		}
		for _, other := range index.Dependents(r.GetService()) {
			for _, need := range other.GetRequirements() {
				if need.GetService() != r.GetService() || !stops(need.GetSeverity()) {
					continue
				}
				if ok, err := policy.Takes(need.GetVersions(), r.GetVersion()); err == nil && ok {
					continue
				}
				live, err := index.LiveOf(r.GetEnvironment(), other.GetName(), read)
				if err != nil {
					return nil, err
				}
				if len(live) > 0 {
					say(ruleNeededBy, other.GetName(), "%s %s, live on %s, needs %s %s", other.GetName(), live[0].Version, live[0].Target, r.GetService(), need.GetVersions())
				}
			}
		}
	}
	return out, nil
}

// stops reports whether a requirement of that severity stops a planned release at step 2.
func stops(severity releasev1.Finding_Severity) bool {
	return severity == releasev1.Finding_SEVERITY_UNSPECIFIED || severity == releasev1.Finding_SEVERITY_BLOCKING
}
