package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
)

// TestRulesAboutAlertsAreChecked appends some to the example.
func TestRulesAboutAlertsAreChecked(t *testing.T) {
	rule := func(name, matcher, where string) string {
		return fmt.Sprintf("  - {name: %s, source: prometheus, reason: because, matchers: [{label: severity, %s}]%s}\n", name, matcher, where)
	}
	many := ""
	for i := range 9 {
		many += rule(fmt.Sprintf("rule-%d", i), "is: page", "")
	}
	for _, test := range []struct{ name, rules, want string }{
		{"in order", rule("page", `matches: "page|critical"`, ", services: [shop]"), ""},
		{"a pattern that is none", rule("page", `matches: "page("`, ""), "alerts[0].matchers[0].matches"},
		{"a pattern that breaks out of its anchors", rule("page", `matches: "page)|(?:"`, ""), "alerts[0].matchers[0].matches"},
		{"a pattern that is larger than it looks", rule("page", `matches: "([a-z][a-z][a-z][a-z][a-z][a-z]){1000}"`, ""), "alerts[0].matchers[0].matches"},
		{"a pattern of a million letters", rule("page", `matches: "((a{100}){100}){100}"`, ""), "alerts[0].matchers[0].matches"},
		{"a matcher of nothing", rule("page", `label: x`, ""), "label"},
		{"for no service", rule("page", "is: page", ", services: [shoe]"), "alerts[0].services[0]"},
		{"twice", rule("page", "is: page", "") + rule("page", "is: page", ""), "alerts[1].name"},
		{"more than an event holds", many, "9 rules about alerts concern releases of shop to production"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(string(readExample(t))+"\nalerts:\n"+test.rules), "procedure.yaml")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v", err)
			}
		})
	}
}
