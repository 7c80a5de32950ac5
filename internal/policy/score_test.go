package policy_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
)

// TestLevelsOfRiskAreChecked appends some to the example.
func TestLevelsOfRiskAreChecked(t *testing.T) {
	for _, test := range []struct{ name, levels, want string }{
		{"in order", "[{from: 1}, {from: 20, approvals: [{group: sre, count: 2}], first_wave: 1, bake: 30m}]", ""},
		{"out of order", "[{from: 20}, {from: 20}]", "risk_score.levels[1].from: levels stand lowest first"},
		{"people who are not there", "[{from: 1, approvals: [{group: sre, count: 3}]}]", "risk_score.levels[0].approvals[0].group"},
		{"no level", "[]", "risk_score.levels"},
		{"off hours of nobody", "[{from: 1}]\n  working_hours: []", "risk_score.working_hours: off_hours weighs"},
		{"hours in no zone", "[{from: 1}]\n  working_hours: [{from: '08:00', to: '18:00', time_zone: Mars/Base}]", "risk_score.working_hours[0]: unknown time zone"},
		{"hours without an end", "[{from: 1}]\n  working_hours: [{from: '08:00', to: '08:00', time_zone: UTC}]", "risk_score.working_hours: people would be at work at all times"},
		{"of everything", "[{from: 0}]", "risk_score.levels[0].from"},
	} {
		t.Run(test.name, func(t *testing.T) {
			off := ""
			if strings.Contains(test.levels, "working_hours") {
				off = ", off_hours: 3"
			}
			text := string(readExample(t)) + "\nrisk_score:\n  weights: {target: 2" + off + "}\n  levels: " + test.levels + "\n"
			_, err := policy.Parse([]byte(text), "procedure.yaml")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v", err)
			}
		})
	}
}
