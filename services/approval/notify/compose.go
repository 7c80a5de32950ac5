package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// compose says in words what happened. Everything in it comes from the record.
func compose(s procedure.State, n procedure.Notice, now time.Time) Message {
	r := s.Request
	occasion := strings.ToLower(strings.TrimPrefix(n.Occasion.String(), "OCCASION_"))
	what := r.GetService() + " " + r.GetVersion() + " to " + r.GetEnvironment()
	m := Message{
		Key: fmt.Sprintf("%s/%s/%d", s.Release, occasion, n.Number), Release: s.Release, Occasion: occasion, Time: now,
		Fields: map[string]string{
			"service": r.GetService(), "version": r.GetVersion(), "environment": r.GetEnvironment(), "owner": r.GetOwner(),
			"change_record": r.GetChangeRecord().GetSystem() + " " + r.GetChangeRecord().GetId(),
			"phase":         s.Phase.String(),
		},
	}
	switch n.Occasion {
	case releasev1.Occasion_OCCASION_START:
		m.Subject = "Release about to start: " + what
		m.Text = r.GetPlan().GetDescription()
	case releasev1.Occasion_OCCASION_END:
		outcome := word(s.Outcome.String(), "OUTCOME_")
		m.Subject = "Release " + outcome + ": " + what
		m.Text = s.EndReason
		m.Fields["outcome"] = outcome
	case releasev1.Occasion_OCCASION_ROLLBACK:
		m.Subject = "Rolling back: " + what
		m.Text = s.EndReason
	case releasev1.Occasion_OCCASION_ESCALATION:
		cause := releasev1.Cause(n.Number / 1000) //nolint:gosec // The number was made of a cause.
		m.Subject = "Escalation: " + word(cause.String(), "CAUSE_") + ", " + what
		m.Text = "Somebody has to take this on: shipwarden acknowledge " + s.Release
		m.Fields["cause"] = word(cause.String(), "CAUSE_")
		m.Fields["rung"] = fmt.Sprint(n.Number % 1000)
	case releasev1.Occasion_OCCASION_EMERGENCY:
		m.Subject = "Emergency release: " + what
		m.Text = r.GetEmergency().GetReason() + " (incident " + r.GetEmergency().GetIncident() + ")\nBypassed: " + strings.Join(s.Bypassed, "; ")
	case releasev1.Occasion_OCCASION_UNSPECIFIED:
	}
	return m
}

func word(enum, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(enum, prefix)), "_", " ")
}
