package authorize_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// TestWhoCanDoWhat is the access report (U5).
func TestWhoCanDoWhat(t *testing.T) {
	r := newRig(t, standIns, func(d *policyv1.Procedure) {
		d.People[1].SigningKeys = []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, "ben"))}}
		d.Environments[0].Approvals[1].Signed = true
	})
	desk := r.dial(t)
	if _, err := has(t, desk, "anna", "finn"); err != nil {
		t.Fatal(err)
	}
	ask := func(q *approvalv1.WhoCanRequest) []string {
		t.Helper()
		got, err := desk.WhoCan(as(t, "gina"), q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range got.GetRights() {
			var who []string
			for _, h := range r.GetHolders() {
				name := h.GetPerson()
				if h.GetCanSign() {
					name += "*"
				}
				if h.GetStandInFor() != "" {
					name += " for " + h.GetStandInFor()
				}
				who = append(who, name)
			}
			out = append(out, fmt.Sprintf("%s%s %s %d of %s %t: %s", r.GetEnvironment(), r.GetService(), r.GetAction(), r.GetCount(), r.GetGroup(), r.GetSigned(), strings.Join(who, ", ")))
		}
		return out
	}
	got := ask(&approvalv1.WhoCanRequest{Environment: "production", Service: "shop"})
	expected := []string{
		"production approve 1 of release-managers false: anna, finn for anna, cleo, dan, otto, rita",
		"production approve 1 of security true: ada, alan, ben*, cleo",
		"production approve_high_risk 2 of security false: ada, alan, ben*, cleo",
		"production approve_no_rollback 2 of release-managers false: anna, finn for anna, cleo, dan, otto, rita",
		"production authorize_emergency 1 of incident-commanders false: eve, otto",
		" review_emergency 1 of security false: ada, alan, ben*, cleo",
		" operate 1 of operators false: gina",
		"shop own 1 of developers false: ada, otto",
	}
	if !slices.Equal(got, expected) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(expected, "\n"))
	}
	if got := ask(&approvalv1.WhoCanRequest{Person: "finn"}); len(got) != 4 || !strings.HasSuffix(got[0], ": finn for anna") {
		t.Errorf("Finn can %q", got)
	}
	_, err := desk.WhoCan(as(t, "gina"), &approvalv1.WhoCanRequest{Service: "shoop"})
	want(t, "a service that is none", err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = desk.WhoCan(as(t, "mallory"), &approvalv1.WhoCanRequest{})
	want(t, "a stranger", err, codes.PermissionDenied, "UNKNOWN_PERSON")
}
