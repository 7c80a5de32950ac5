package authorize_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

func frozen(name string, until time.Time) *policyv1.Freeze {
	return &policyv1.Freeze{
		Name: name, SetBy: "anna", Reason: "because", OverridePeople: []string{"gina"}, OverrideGroups: []string{"incident-commanders"},
		When: &policyv1.Freeze_Once{Once: &policyv1.Span{Start: timestamppb.New(until.Add(-24 * time.Hour)), End: timestamppb.New(until)}},
	}
}

func subjects(holds []*releasev1.HoldReason) (out []string) {
	for _, h := range holds {
		out = append(out, h.GetSubject())
	}
	return out
}

// TestAnExceptionIsOfOneFreeze has two that hold a release: each needs its own, by people
// whom it names, and approvers are shown both.
func TestAnExceptionIsOfOneFreeze(t *testing.T) {
	now := time.Now()
	r := newRig(t, provedElsewhere, func(d *policyv1.Procedure) {
		elsewhere := frozen("elsewhere", now.Add(time.Hour))
		elsewhere.Services = []string{"billing"}
		d.Freezes = []*policyv1.Freeze{frozen("audit", now.Add(time.Hour)), frozen("campaign", now.Add(2*time.Hour)), elsewhere}
	})
	desk, step := r.dial(t), risk.New(r.Procedures, r.Store, risk.Watch{})
	release := r.Reach(t, procedure.PhaseRisk)
	if s, err := r.Act(t, step, release, now); err != nil || s.Phase != procedure.PhaseHeld {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	call := func(freeze string) *approvalv1.OverrideFreezeRequest {
		return &approvalv1.OverrideFreezeRequest{Release: release, Freeze: freeze, Reason: "customers cannot pay", Ticket: "INC-7"}
	}
	for _, test := range []struct {
		person, freeze string
		code           codes.Code
		reason         string
	}{
		{"ci-bot", "audit", codes.PermissionDenied, "MACHINE"},
		{"mallory", "audit", codes.PermissionDenied, "UNKNOWN_PERSON"},
		{"anna", "audit", codes.PermissionDenied, "NOT_ALLOWED"},
		{"otto", "audit", codes.PermissionDenied, "OWN_CHANGE"},
		{"gina", "elsewhere", codes.InvalidArgument, "INVALID_FIELD"},
		{"gina", "nothing", codes.InvalidArgument, "INVALID_FIELD"},
	} {
		_, err := desk.OverrideFreeze(as(t, test.person), call(test.freeze))
		want(t, test.person+" of "+test.freeze, err, test.code, test.reason)
	}
	for name, bad := range map[string]*approvalv1.OverrideFreezeRequest{
		"no reason": {Release: release, Freeze: "audit", Reason: " ", Ticket: "INC-7"},
		"no ticket": {Release: release, Freeze: "audit", Reason: "customers cannot pay"},
	} {
		_, err := desk.OverrideFreeze(as(t, "gina"), bad)
		want(t, name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	answer, err := desk.OverrideFreeze(as(t, "gina"), call("audit"))
	if err != nil || !slices.Equal(subjects(answer.GetHolds()), []string{"campaign"}) || !answer.GetEarliestStart().AsTime().Equal(now.Add(2*time.Hour)) {
		t.Fatalf("%v, %v", answer, err)
	}
	_, err = desk.OverrideFreeze(as(t, "gina"), call("audit"))
	want(t, "twice", err, codes.FailedPrecondition, "OTHER_STATE")
	if s := r.State(t, release); s.Phase != procedure.PhaseRisk {
		t.Fatalf("it is not looked at again: phase %s", s.Phase)
	} else if !slices.Contains(s.Wanted, procedure.Notice{Occasion: releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN, Number: 1}) {
		t.Errorf("whoever set the freeze is not told: %v", s.Wanted)
	}
	if s, err := r.Act(t, step, release, now); err != nil || !slices.Equal(subjects(s.Holds), []string{"campaign"}) {
		t.Fatalf("holds %v, %v", s.Holds, err)
	}
	if _, err := desk.OverrideFreeze(as(t, "eve"), call("campaign")); err != nil {
		t.Fatal(err)
	}
	s, err := r.Act(t, step, release, now)
	if err != nil || s.Phase != procedure.PhaseApprove {
		t.Fatalf("phase %s, %v, %v", s.Phase, s.Holds, err)
	}
	pending, err := desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	p := pending.GetPending()
	if len(p.GetExceptions()) != 2 || p.GetExceptions()[0].GetPerson() != "gina" || p.GetExceptions()[1].GetTicket() != "INC-7" || len(p.GetHolds()) != 0 {
		t.Errorf("shown: %v, holds %v", p.GetExceptions(), p.GetHolds())
	}
	warned := 0
	for _, f := range p.GetFindings() {
		if f.GetRule() == "freeze.overridden" && f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING {
			warned++
		}
	}
	if warned != 2 {
		t.Errorf("findings %v", p.GetFindings())
	}
	// An exception that comes after approvers looked is something that they have not seen.
	shown := p.GetShownDigest()
	if _, err := desk.OverrideFreeze(as(t, "eve"), call("audit")); err != nil {
		t.Fatal(err)
	}
	_, err = desk.Approve(as(t, "ben"), &approvalv1.ApproveRequest{Release: release, ChangeDigest: p.GetChangeDigest(), ShownDigest: shown})
	want(t, "approval of what was shown before", err, codes.Aborted, "STALE_SHOWN_DIGEST")
}

// TestApproversSeeWhatHoldsAStart has a freeze declared after step 3: what was shown stays
// the same, and the answer says when a start is possible.
func TestApproversSeeWhatHoldsAStart(t *testing.T) {
	r := newRig(t, provedElsewhere)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseApprove)
	before, err := desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	r.Activate(t, approvaltest.Document(provedElsewhere, func(d *policyv1.Procedure) {
		d.Version, d.Freezes = "1.1", []*policyv1.Freeze{frozen("audit", until)}
	}))
	after, err := desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	if p := after.GetPending(); !slices.Equal(subjects(p.GetHolds()), []string{"audit"}) || !p.GetEarliestStart().AsTime().Equal(until) ||
		p.GetShownDigest() != before.GetPending().GetShownDigest() {
		t.Errorf("holds %v until %v", p.GetHolds(), p.GetEarliestStart().AsTime())
	}
}
