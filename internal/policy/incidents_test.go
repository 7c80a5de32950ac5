package policy_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestIncidentsOfADocument: slips are found before a release depends on them.
func TestIncidentsOfADocument(t *testing.T) {
	document := &policyv1.Procedure{
		Environments: []*policyv1.Environment{{Name: "production"}}, Services: []*policyv1.Service{{Name: "shop"}},
		Incidents: &policyv1.Incidents{
			Environments: []string{"production", "prod"}, Services: []string{"shop", "shoop"},
			Causes: []releasev1.Cause{releasev1.Cause_CAUSE_ROLLBACK_FAILED, releasev1.Cause_CAUSE_REVIEW_OVERDUE},
		},
	}
	var found []string
	for _, v := range policy.Check(document) {
		if strings.HasPrefix(v.Field, "incidents") {
			found = append(found, v.Field)
		}
	}
	if got := strings.Join(found, " "); got != "incidents.environments[1] incidents.services[1] incidents.causes[1]" {
		t.Errorf("found %q", got)
	}
}

// TestIncidentsThatHoldLess are told to whoever agrees to a document.
func TestIncidentsThatHoldLess(t *testing.T) {
	with := func(i *policyv1.Incidents) *policyv1.Procedure { return &policyv1.Procedure{Incidents: i} }
	scope := []policyv1.Incidents_Scope{policyv1.Incidents_SCOPE_SERVICE}
	for name, test := range map[string]struct {
		before, after *policyv1.Incidents
		looser        bool
	}{
		"not at all":         {&policyv1.Incidents{}, nil, true},
		"for the first time": {nil, &policyv1.Incidents{}, false},
		"of fewer":           {&policyv1.Incidents{}, &policyv1.Incidents{Scopes: scope}, true},
		"of more":            {&policyv1.Incidents{Scopes: scope}, &policyv1.Incidents{}, false},
		"for less long":      {&policyv1.Incidents{}, &policyv1.Incidents{Until: policyv1.Incidents_UNTIL_TAKEN_ON}, true},
	} {
		if got := policy.Loosened(with(test.before), with(test.after)); (len(got) > 0) != test.looser {
			t.Errorf("%s: %v", name, got)
		}
	}
}
