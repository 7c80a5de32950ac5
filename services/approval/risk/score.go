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
// What was asked for is not changed behind the back of those who asked: where the request
// does not let the procedure choose what does, the plan is refused, and what would is said.
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
	var unfit []*releasev1.Finding
	l.facts.Chosen, unfit = policy.Choose(l.index.Document(), l.state, l.now)
	l.facts.Findings = append(l.facts.Findings, unfit...)
}
