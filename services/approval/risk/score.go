package risk

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// score weighs the release, and holds its plan against what the weight demands (PD-3.4).
// What was asked for is not changed behind the back of those who asked: a plan that does
// not do is refused, and says what would. An emergency and a rollback go on as they are,
// which is called out.
func (l *look) score() {
	score, level := policy.Score(l.index.Document(), l.state, l.unrecoverable, l.now)
	l.facts.Score, l.level = score, level
	if policy.WeighsHours(l.index.Document()) {
		l.facts.ZoneData = freeze.ZoneData()
	}
	if score == nil {
		return
	}
	var parts []string
	for _, in := range score.GetInputs() {
		parts = append(parts, fmt.Sprintf("%s %d: %d", in.GetFact(), in.GetCount(), in.GetPoints()))
	}
	severity := releasev1.Finding_SEVERITY_OK
	if level != nil {
		severity = releasev1.Finding_SEVERITY_WARNING
	}
	l.find(severity, "risk.score", "", "the risk score is %d, level %d (%s)", score.GetScore(), score.GetLevel(), cmp.Or(strings.Join(parts, ", "), "nothing weighs"))
	unfit := releasev1.Finding_SEVERITY_BLOCKING
	if l.state.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED {
		unfit = releasev1.Finding_SEVERITY_WARNING
	}
	r := l.state.Request
	if most := int(level.GetFirstWave()); most > 0 && len(r.GetPlan().GetWaves()[0].GetTargets()) > most {
		l.find(unfit, "risk.waves", "plan.waves[0]", "the first wave has %d targets, and a risk score of %d allows %d: begin with fewer",
			len(r.GetPlan().GetWaves()[0].GetTargets()), score.GetScore(), most)
	}
	if least := level.GetBake().AsDuration(); r.GetValidation().GetBake().AsDuration() < least {
		l.find(unfit, "risk.bake", "validation.bake", "each wave is validated for %s, and a risk score of %d demands %s",
			r.GetValidation().GetBake().AsDuration(), score.GetScore(), least)
	}
}
