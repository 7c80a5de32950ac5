package freeze_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/procedure"
)

// An exception by a group counts where the document has the person in it and the event
// says that they were in it then: neither of them is enough, for the provider may have
// taken them out (PD-A.4), and the event may say what it likes.
func TestAnExceptionCountsForGroupsOfEventAndDocument(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	audit := once("audit", at.Add(-time.Hour), at.Add(time.Hour))
	audit.OverrideGroups, audit.OverridePeople = []string{"commanders"}, []string{"gina"}
	for name, c := range map[string]struct {
		person       string
		event, today []string
		leaves       bool
		counts       bool
	}{
		"both":                     {"eve", []string{"commanders"}, []string{"commanders", "staff"}, false, true},
		"the document alone":       {"eve", nil, []string{"commanders"}, false, false},
		"the event alone":          {"eve", []string{"commanders"}, []string{"staff"}, false, false},
		"a group of another kind":  {"eve", []string{"staff"}, []string{"commanders", "staff"}, false, false},
		"by name":                  {"gina", nil, nil, false, true},
		"by name, and left by now": {"gina", nil, nil, true, false},
	} {
		made := []procedure.Override{{Freeze: "audit", Digest: freeze.Digest(audit), Person: c.person, Groups: c.event}}
		got := freeze.Overridden(made, func(string) ([]string, bool) { return c.today, !c.leaves })(audit)
		if got != c.counts {
			t.Errorf("%s: counts %t", name, got)
		}
	}
}
