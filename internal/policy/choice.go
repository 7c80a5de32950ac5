package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of what a level of risk demands of a plan.
const (
	ruleWaves = "risk.waves"
	ruleBake  = "risk.bake"
)

// Choose holds the plan of a release against what the level of its risk demands at that time
// (PD-3.4). Where the request lets it, what does is chosen in place of what was asked for;
// otherwise a plan that does not do is refused, and the finding says what would. An emergency
// and a rollback go on as they are, which is called out. A level may name a lane with fewer
// approvals, which is chosen as well (Needed asks for those). It depends on its arguments alone:
// step 3 chooses by it, the executor chooses again, and so does a replay.
func Choose(document *policyv1.Procedure, s procedure.State, at time.Time) (*releasev1.Chosen, []*releasev1.Finding) {
	score, level := Score(document, s, WayBackOf(document, s).Why != "", at)
	f := fitting{request: s.Request, score: score.GetScore(), planned: s.Request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED}
	f.waves(level)
	f.bake(level)
	f.lane(document, s, level)
	return f.chosen, f.findings
}

// fitting is a plan on its way to one that does.
type fitting struct {
	request  *releasev1.Request
	score    uint32
	planned  bool
	chosen   *releasev1.Chosen
	findings []*releasev1.Finding
}

// waves demands waves of so many targets at the most, the first and the others; 0 stands for
// any number.
func (f *fitting) waves(level *policyv1.RiskLevel) {
	asked := f.request.GetPlan().GetWaves()
	divided := divide(asked, int(level.GetFirstWave()), int(level.GetOtherWaves()))
	switch {
	case len(divided) == len(asked):
		return
	case !f.planned || !f.request.GetPlan().GetMayDivide():
		f.tooLarge(asked, level)
	case len(divided) > procedure.MaxWaves:
		f.find(f.unfit(), ruleWaves, "plan.waves", "a risk score of %d demands %d waves of these targets, and a plan has %d at the most: release to fewer targets",
			f.score, len(divided), procedure.MaxWaves)
	default:
		f.choice().Waves = divided
		f.find(releasev1.Finding_SEVERITY_WARNING, ruleWaves, "plan.waves",
			"the targets are deployed in %d waves and not in %d as was asked for: a risk score of %d demands it, and the request lets its waves be divided", len(divided), len(asked), f.score)
	}
}

// tooLarge names the waves that have too many targets.
func (f *fitting) tooLarge(asked []*releasev1.Wave, level *policyv1.RiskLevel) {
	for i, w := range asked {
		n, most := len(w.GetTargets()), int(level.GetOtherWaves())
		if i == 0 {
			most = int(level.GetFirstWave())
		}
		switch {
		case most == 0 || n <= most:
		case i == 0:
			f.find(f.unfit(), ruleWaves, "plan.waves[0]", "the first wave has %d targets, and a risk score of %d allows %d: begin with fewer", n, f.score, most)
		default:
			f.find(f.unfit(), ruleWaves, fmt.Sprintf("plan.waves[%d]", i), "wave %d has %d targets, and a risk score of %d allows %d: divide it", i+1, n, f.score, most)
		}
	}
}

// divide returns the waves in parts of so many targets at the most, in their order: a first
// one, and others. A wave that is no larger stays as it is.
func divide(asked []*releasev1.Wave, first, others int) (out []*releasev1.Wave) {
	add := func(targets []string, most int) {
		if most == 0 {
			most = len(targets)
		}
		for part := range slices.Chunk(targets, max(most, 1)) {
			out = append(out, &releasev1.Wave{Targets: part})
		}
	}
	for i, w := range asked {
		rest := w.GetTargets()
		if i == 0 {
			n := len(rest)
			if first > 0 {
				n = min(n, first)
			}
			add(rest[:n], 0)
			rest = rest[n:]
		}
		add(rest, others)
	}
	return out
}

// bake demands that each wave is validated for that long at least.
func (f *fitting) bake(level *policyv1.RiskLevel) {
	least, asked := level.GetBake().AsDuration(), f.request.GetValidation().GetBake().AsDuration()
	if asked >= least {
		return
	}
	if f.planned && f.request.GetValidation().GetMayRaise() {
		f.choice().Bake = level.GetBake()
		f.find(releasev1.Finding_SEVERITY_WARNING, ruleBake, "validation.bake",
			"each wave is validated for %s and not for %s as was asked for: a risk score of %d demands it, and the request lets its bake be raised", least, asked, f.score)
		return
	}
	f.find(f.unfit(), ruleBake, "validation.bake", "each wave is validated for %s, and a risk score of %d demands %s", asked, f.score, least)
}

// lane chooses the one of the level, or says why the release does not go by it.
func (f *fitting) lane(document *policyv1.Procedure, s procedure.State, level *policyv1.RiskLevel) {
	lane, why := enters(document, s, level)
	switch {
	case lane != nil:
		f.choice().Lane = lane.GetName()
		f.find(releasev1.Finding_SEVERITY_WARNING, ruleLane, lane.GetName(), "it is a standard change: with a risk score of %d it goes by the lane %s, which asks for fewer approvals than others need", f.score, lane.GetName())
	case why != "":
		f.find(releasev1.Finding_SEVERITY_OK, ruleLane, level.GetLane().GetName(), "it does not go by the lane %s: %s", level.GetLane().GetName(), why)
	}
}

func (f *fitting) choice() *releasev1.Chosen {
	if f.chosen == nil {
		f.chosen = &releasev1.Chosen{}
	}
	return f.chosen
}

// unfit is how severe it is that a plan does not do.
func (f *fitting) unfit() releasev1.Finding_Severity {
	if f.planned {
		return releasev1.Finding_SEVERITY_BLOCKING
	}
	return releasev1.Finding_SEVERITY_WARNING
}

func (f *fitting) find(severity releasev1.Finding_Severity, rule, subject, format string, args ...any) {
	f.findings = append(f.findings, &releasev1.Finding{Rule: rule, Severity: severity, Subject: subject, Message: fmt.Sprintf(format, args...)})
}
