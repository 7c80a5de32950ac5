package authorize_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func standIns(d *policyv1.Procedure) {
	d.StandIns = &policyv1.StandIns{Longest: durationpb.New(48 * time.Hour), Groups: []string{"release-managers"}, Chain: 2}
}

// has makes somebody have a stand-in for a day.
func has(t *testing.T, desk approvalv1.ApprovalServiceClient, person, standIn string) (*releasev1.Delegation, error) {
	t.Helper()
	got, err := desk.Delegate(as(t, person), &approvalv1.DelegateRequest{
		StandIn: standIn, Until: timestamppb.New(time.Now().Add(24 * time.Hour)), Reason: "on leave",
	})
	return got.GetDelegation(), err
}

func inPlaceOf(s procedure.State, person string) *approvalv1.ApproveRequest {
	call := approve(s)
	call.StandInFor = person
	return call
}

// TestAStandInApprovesWhatThePersonCould and nothing else (D-1.4). Finn is in no group.
func TestAStandInApprovesWhatThePersonCould(t *testing.T) {
	r := newRig(t, standIns)
	desk := r.dial(t)
	s := r.pending(t)
	_, err := desk.Approve(as(t, "finn"), inPlaceOf(s, "anna"))
	want(t, "before", err, codes.PermissionDenied, "NO_STAND_IN")
	one, err := has(t, desk, "anna", "finn")
	if err != nil || one.GetNumber() != 1 {
		t.Fatalf("%v, %v", one, err)
	}
	_, err = desk.Approve(as(t, "finn"), approve(s))
	want(t, "for himself", err, codes.PermissionDenied, "NOT_APPROVER")
	if got, err := desk.Approve(as(t, "finn"), inPlaceOf(s, "anna")); err != nil || len(got.GetMissing()) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	a := r.State(t, s.Release).Approvals[0]
	if a.Person != "finn" || a.StandIn.GetPerson() != "anna" || len(a.Groups) != 1 || a.Groups[0] != "release-managers" {
		t.Errorf("on record: %+v", a)
	}
	// Anna's approval is used up, and Finn's too.
	s = r.State(t, s.Release)
	_, err = desk.Approve(as(t, "anna"), approve(s))
	want(t, "Anna besides", err, codes.AlreadyExists, "APPROVED_ALREADY")
	answer, err := desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: s.Release})
	if err != nil || answer.GetPending().GetApprovals()[0].GetStandInFor() != "anna" {
		t.Errorf("shown: %v, %v", answer.GetPending().GetApprovals(), err)
	}
	// Cleo is in security as well, for which the procedure has no stand-ins.
	if _, err := has(t, desk, "cleo", "gina"); err != nil {
		t.Fatal(err)
	}
	other := r.pending(t, key("other"))
	if _, err := desk.Approve(as(t, "gina"), inPlaceOf(other, "cleo")); err != nil {
		t.Fatal(err)
	}
	if a := r.State(t, other.Release).Approvals[0]; len(a.Groups) != 1 || a.Groups[0] != "release-managers" {
		t.Errorf("counts for %v", a.Groups)
	}
	// It ends: by the clock, and by revocation.
	last := r.pending(t, key("last"))
	r.ahead.Store(int64(25 * time.Hour))
	_, err = desk.Approve(as(t, "finn"), inPlaceOf(last, "anna"))
	if err == nil {
		t.Error("the delegation outlives its end")
	}
	r.ahead.Store(0)
	if _, err := desk.RevokeDelegation(as(t, "dan"), &approvalv1.RevokeDelegationRequest{Number: 1, Reason: "no"}); err == nil {
		t.Error("anybody revokes")
	}
	if _, err := desk.RevokeDelegation(as(t, "anna"), &approvalv1.RevokeDelegationRequest{Number: 1, Reason: "back"}); err != nil {
		t.Fatal(err)
	}
	_, err = desk.Approve(as(t, "finn"), inPlaceOf(last, "anna"))
	want(t, "revoked", err, codes.PermissionDenied, "NO_STAND_IN")
	list, err := desk.ListDelegations(as(t, "ben"), &approvalv1.ListDelegationsRequest{})
	if err != nil || len(list.GetDelegations()) != 1 || list.GetDelegations()[0].GetNumber() != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestAStandInWidensNothing: what one of them has a part in, none of them approves for
// another, by however many others it leads.
func TestAStandInWidensNothing(t *testing.T) {
	r := newRig(t, standIns)
	desk := r.dial(t)
	s := r.pending(t)
	for person, standIn := range map[string]string{"rita": "finn", "anna": "otto", "dan": "rita", "cleo": "gina", "gina": ""} {
		if standIn == "" {
			continue
		}
		if _, err := has(t, desk, person, standIn); err != nil {
			t.Fatalf("%s by %s: %v", person, standIn, err)
		}
	}
	for name, c := range map[string]struct{ by, of, reason string }{
		"the requester's stand-in":              {"finn", "rita", "OWN_CHANGE"},
		"the owner, for somebody else":          {"otto", "anna", "OWN_CHANGE"},
		"by the requester, who chose who it is": {"finn", "dan", "OWN_CHANGE"},
		"for oneself":                           {"anna", "anna", "NO_STAND_IN"},
		"for nobody":                            {"finn", "zoe", "NO_STAND_IN"},
		"for somebody who has none":             {"finn", "cleo", "NO_STAND_IN"},
	} {
		_, err := desk.Approve(as(t, c.by), inPlaceOf(s, c.of))
		want(t, name, err, codes.PermissionDenied, c.reason)
	}
	// Nor in an emergency, where people may approve what is theirs.
	release := r.Reach(t, procedure.PhaseApprove, key("emergency"), proceduretest.Emergency)
	_, err := desk.Approve(as(t, "finn"), inPlaceOf(r.State(t, release), "rita"))
	want(t, "in an emergency", err, codes.PermissionDenied, "OWN_CHANGE")
}

// TestDelegationsThatAreNone names the field at fault.
func TestDelegationsThatAreNone(t *testing.T) {
	r := newRig(t, standIns)
	desk := r.dial(t)
	if _, err := has(t, desk, "anna", "dan"); err != nil {
		t.Fatal(err)
	}
	if _, err := has(t, desk, "dan", "cleo"); err != nil {
		t.Fatal(err)
	}
	in := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(d)) }
	for name, c := range map[string]struct {
		by     string
		change func(*approvalv1.DelegateRequest)
		code   codes.Code
		reason string
	}{
		"to nobody":              {"anna", func(d *approvalv1.DelegateRequest) { d.StandIn = "zoe" }, codes.InvalidArgument, "INVALID_FIELD"},
		"to an alias":            {"dan", func(d *approvalv1.DelegateRequest) { d.StandIn = "rr" }, codes.InvalidArgument, "INVALID_FIELD"},
		"to a machine":           {"anna", func(d *approvalv1.DelegateRequest) { d.StandIn = "ci-bot" }, codes.InvalidArgument, "INVALID_FIELD"},
		"to who has left":        {"anna", func(d *approvalv1.DelegateRequest) { d.StandIn = "hugo" }, codes.InvalidArgument, "INVALID_FIELD"},
		"to oneself":             {"anna", func(d *approvalv1.DelegateRequest) { d.StandIn = "anna" }, codes.InvalidArgument, "INVALID_FIELD"},
		"round in a circle":      {"cleo", func(d *approvalv1.DelegateRequest) { d.StandIn = "anna" }, codes.InvalidArgument, "INVALID_FIELD"},
		"and back":               {"dan", func(d *approvalv1.DelegateRequest) { d.StandIn = "anna" }, codes.InvalidArgument, "INVALID_FIELD"},
		"for too long":           {"anna", func(d *approvalv1.DelegateRequest) { d.Until = in(49 * time.Hour) }, codes.InvalidArgument, "INVALID_FIELD"},
		"until yesterday":        {"anna", func(d *approvalv1.DelegateRequest) { d.Until = in(-time.Hour) }, codes.InvalidArgument, "INVALID_FIELD"},
		"since yesterday":        {"anna", func(d *approvalv1.DelegateRequest) { d.From = in(-24 * time.Hour) }, codes.InvalidArgument, "INVALID_FIELD"},
		"without an end":         {"anna", func(d *approvalv1.DelegateRequest) { d.Until = nil }, codes.InvalidArgument, "INVALID_FIELD"},
		"without a reason":       {"anna", func(d *approvalv1.DelegateRequest) { d.Reason = " " }, codes.InvalidArgument, "INVALID_FIELD"},
		"for a reason of a page": {"anna", func(d *approvalv1.DelegateRequest) { d.Reason = strings.Repeat("x", 257) }, codes.InvalidArgument, "INVALID_FIELD"},
		"for a group twice":      {"anna", func(d *approvalv1.DelegateRequest) { d.Groups = []string{"release-managers", "release-managers"} }, codes.InvalidArgument, "INVALID_FIELD"},
		"for a group of others":  {"anna", func(d *approvalv1.DelegateRequest) { d.Groups = []string{"security"} }, codes.InvalidArgument, "INVALID_FIELD"},
		"for one without any":    {"cleo", func(d *approvalv1.DelegateRequest) { d.Groups = []string{"security"} }, codes.InvalidArgument, "INVALID_FIELD"},
		"by who has nothing":     {"finn", func(*approvalv1.DelegateRequest) {}, codes.PermissionDenied, "NOT_ALLOWED"},
		"by a machine":           {"ci-bot", func(*approvalv1.DelegateRequest) {}, codes.PermissionDenied, "MACHINE"},
	} {
		call := &approvalv1.DelegateRequest{StandIn: "gina", Until: in(time.Hour), Reason: "on leave"}
		c.change(call)
		_, err := desk.Delegate(as(t, c.by), call)
		want(t, name, err, c.code, c.reason)
	}
	// Anna, Dan, Cleo: a chain of two is what the procedure has, and one of three is not.
	if _, err := has(t, desk, "cleo", "gina"); err != nil {
		t.Fatal(err)
	}
	s := r.pending(t)
	_, err := desk.Approve(as(t, "gina"), inPlaceOf(s, "anna"))
	want(t, "a chain of three", err, codes.PermissionDenied, "NO_STAND_IN")
	if _, err := desk.Approve(as(t, "cleo"), inPlaceOf(s, "anna")); err != nil {
		t.Errorf("a chain of two: %v", err)
	}
	// Where the document has none, there are none.
	none := newRig(t)
	_, err = has(t, none.dial(t), "anna", "dan")
	want(t, "without stand-ins", err, codes.PermissionDenied, "NOT_ALLOWED")
}
