package authorize_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoCanDoWhat is the access report (U5).
func TestWhoCanDoWhat(t *testing.T) {
	r := newRig(t, standIns, func(d *policyv1.Procedure) {
		d.Services[0].Checks = []*releasev1.Check{{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{Question: "Do the sums agree?", Groups: []string{"operators"}}}}}
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
			out = append(out, fmt.Sprintf("%s%s %s %d of %s %t: %s", r.GetEnvironment(), r.GetService(), strings.TrimSpace(r.GetAction()+" "+r.GetCheck()), r.GetCount(), r.GetGroup(), r.GetSigned(), strings.Join(who, ", ")))
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
		"shop sign_off ledger 1 of operators false: gina",
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

// TestWhoCanByTheRiskScore: what levels ask for besides, from which score on, and what lanes
// ask for in place of the environment's, where they are open.
func TestWhoCanByTheRiskScore(t *testing.T) {
	r := newRig(t, hourly("operators", 20*time.Minute, "finn"), func(d *policyv1.Procedure) {
		d.Environments[0].Approvals[1].Signed = true // whom the lane spares there signs
		for _, i := range []int{1, 6} {              // ben, gina
			d.People[i].SigningKeys = []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, d.GetPeople()[i].GetId()))}}
		}
		d.Gates[0].Rules = []*policyv1.Rule{
			{Name: "areas", Expression: "sets.equivalent(request.risk.areas, attestation.predicate.areas)", Message: "other areas"},
			{Name: "data", Expression: `attestation.predicate.data == "unchanged" && request.risk.data == shipwarden.release.v1.Risk.Data.DATA_UNCHANGED`, Message: "other data"},
		}
		d.RiskScore = &policyv1.RiskScore{Weights: &policyv1.RiskWeights{Target: 1}, Levels: []*policyv1.RiskLevel{
			{From: 1, Lane: &policyv1.Lane{
				Name: "standard", Environments: []string{"staging", "production"}, Services: []string{"shop", "billing"}, Gates: []string{"tests"},
				Approvals: []*policyv1.Approvals{{Group: "operators", Count: 1}},
			}},
			{From: 8, Approvals: []*policyv1.Approvals{{Group: "operators", Count: 1}}},
			{From: 20, Approvals: []*policyv1.Approvals{{Group: "operators", Count: 1, Signed: true}, {Group: "incident-commanders", Count: 2}}},
		}}
	})
	desk := r.dial(t)
	for name, c := range map[string]struct {
		ask  *approvalv1.WhoCanRequest
		want []string
	}{
		"one service in production": {&approvalv1.WhoCanRequest{Environment: "production", Service: "shop"}, []string{
			"productionshop approve_lane standard from 1 1 of operators true: finn on call, gina",
			"production approve_risk from 8 1 of operators false: finn on call, gina",
			"production approve_risk from 20 1 of operators true: finn on call, gina",
			"production approve_risk from 20 2 of incident-commanders false: eve, otto",
		}},
		"in staging nobody spared has to sign": {&approvalv1.WhoCanRequest{Environment: "staging", Service: "billing", Person: "finn"}, []string{
			"stagingbilling approve_lane standard from 1 1 of operators false: finn on call",
			"staging approve_risk from 8 1 of operators false: finn on call",
			"staging approve_risk from 20 1 of operators true: finn on call",
		}},
		"whom neither asks": {&approvalv1.WhoCanRequest{Person: "alan"}, nil},
	} {
		got, err := desk.WhoCan(as(t, "dan"), c.ask)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range got.GetRights() {
			if r.GetScore() == 0 && r.GetLane() == "" {
				continue
			}
			var who []string
			for _, h := range r.GetHolders() {
				name := h.GetPerson()
				if h.GetOnCall() != nil {
					name += " on call"
				}
				who = append(who, name)
			}
			lane := ""
			if r.GetLane() != "" {
				lane = " " + r.GetLane()
			}
			out = append(out, fmt.Sprintf("%s%s %s%s from %d %d of %s %t: %s", r.GetEnvironment(), r.GetService(), r.GetAction(), lane, r.GetScore(), r.GetCount(), r.GetGroup(), r.GetSigned(), strings.Join(who, ", ")))
		}
		if !slices.Equal(out, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(out, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
