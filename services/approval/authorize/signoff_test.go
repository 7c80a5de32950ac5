package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// TestOnlyWhoIsAskedSignsOff: a member of the groups that the check names, without a part in the change,
// for the verification under way and in its time; with a reason where it is refused (PD-6.1).
func TestOnlyWhoIsAskedSignsOff(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	ledger := &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums agree?", Groups: []string{"release-managers"},
	}}}
	release := r.Reach(t, procedure.PhaseExecuting, func(q *releasev1.Request) { q.Validation.Checks = append(q.Validation.Checks, ledger) })
	answer := func(person, check string, passed bool, number uint32) error {
		_, err := desk.SignOff(as(t, person), &approvalv1.SignOffRequest{Release: release, Check: check, Passed: passed, Comment: "looked", Number: number})
		return err
	}
	refused := func(what string, err error, code codes.Code, reason, says string) {
		t.Helper()
		want(t, what, err, code, reason)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", what, err, says)
		}
	}
	refused("while it is executed", answer("anna", "ledger", true, 0), codes.FailedPrecondition, "OTHER_STATE", "no verification is under way")
	s := r.Do(t, release, "", proceduretest.Executed(r.State(t, release), nil))
	refused("before it is asked", answer("anna", "ledger", true, 0), codes.FailedPrecondition, "OTHER_STATE", "nobody is asked to sign anything off, or not yet")
	r.Do(t, release, "", procedure.DecideSignOffWanted(s, []*releasev1.Check{ledger}, time.Hour, time.Now()))
	explained, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	// Rita asked for it, Otto owns it, Ada and Alan wrote it.
	if step := stepOf(t, explained.GetOutlook(), "6"); !slices.Equal(step.GetWho(), []string{procedure.ServiceValidator, "anna", "cleo", "dan"}) ||
		!strings.Contains(strings.Join(step.GetWaitsFor(), "\n"), "somebody of release-managers to sign off ledger until ") {
		t.Errorf("explained: %v", step)
	}
	before := len(r.Events(t, release))
	refused("who is in none of the groups", answer("ben", "ledger", true, 0), codes.PermissionDenied, "NOT_ALLOWED", "ben is in none of the groups that may sign off ledger: release-managers")
	refused("another check", answer("anna", "healthy", true, 0), codes.FailedPrecondition, "OTHER_STATE", "people are asked ledger")
	refused("another verification", answer("anna", "ledger", true, 2), codes.FailedPrecondition, "OTHER_STATE", "it answers verification 2, and number 1 is under way")
	refused("who asked for the release", answer("rita", "ledger", true, 0), codes.PermissionDenied, "OWN_CHANGE", "nobody signs off their own change: rita is the requester")
	// Only the document in effect now knows that Cleo is Ada, who wrote it.
	r.Activate(t, approvaltest.Document(linked("cleo", "ada")))
	refused("who wrote it, by another account", answer("cleo", "ledger", true, 0), codes.PermissionDenied, "OWN_CHANGE", "nobody signs off their own change: cleo is ada, who is an author")
	_, err = desk.SignOff(as(t, "anna"), &approvalv1.SignOffRequest{Release: release, Check: "ledger", Comment: " "})
	want(t, "without a word", err, codes.InvalidArgument, "INVALID_FIELD")
	if got := len(r.Events(t, release)); got != before {
		t.Errorf("%d events of what was refused", got-before)
	}
	if err := answer("anna", "ledger", true, 1); err != nil {
		t.Fatal(err)
	}
	refused("twice", answer("anna", "ledger", true, 0), codes.FailedPrecondition, "OTHER_STATE", "it is answered already, by anna")
	if err := answer("dan", "ledger", false, 0); err != nil {
		t.Fatal(err)
	}
	refused("after a failure", answer("anna", "ledger", true, 0), codes.FailedPrecondition, "OTHER_STATE", "it is answered already, by dan")
	s = r.State(t, release)
	if a := s.SignOffs[0].Answer; a.Person != "dan" || a.Passed || a.Comment != "looked" || len(r.Events(t, release)) != before+2 {
		t.Errorf("answered %+v, %d events", a, len(r.Events(t, release))-before)
	}
	r.Do(t, release, "", proceduretest.Verified(s, releasev1.CheckResult_VERDICT_FAIL, false))
	refused("after the verdict", answer("anna", "ledger", true, 0), codes.FailedPrecondition, "OTHER_STATE", "no verification is under way")
}

// TestWhoIsAskedToSignOffFindsItInTheList: what waits to be signed off is listed beside what waits for
// approvals, with what to look at, until when, and whether the caller may; until it is answered, or it
// is too late. Then nobody is said to be waited for any more.
func TestWhoIsAskedToSignOffFindsItInTheList(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	ledger := &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums agree?", Groups: []string{"release-managers"},
	}}}
	release := r.Reach(t, procedure.PhaseExecuting, func(q *releasev1.Request) { q.Validation.Checks = append(q.Validation.Checks, ledger) })
	waits := r.pending(t, key("waits")).Release
	r.waiting.ids = append(r.waiting.ids, release)
	s := r.Do(t, release, "", proceduretest.Executed(r.State(t, release), nil))
	list := func(person string, q *approvalv1.ListPendingRequest) *approvalv1.ListPendingResponse {
		t.Helper()
		got, err := desk.ListPending(as(t, person), q)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := list("anna", &approvalv1.ListPendingRequest{}); len(got.GetPending()) != 1 || len(got.GetSignOffs()) != 0 {
		t.Fatalf("before anybody is asked: %v", got)
	}
	s = r.Do(t, release, "", procedure.DecideSignOffWanted(s, []*releasev1.Check{ledger}, time.Hour, time.Now()))
	for person, why := range map[string]string{
		"anna": "", "rita": "nobody signs off their own change: rita is the requester", "ben": "ben is in none of the groups that may sign off ledger: release-managers",
	} {
		all := list(person, &approvalv1.ListPendingRequest{})
		if len(all.GetPending()) != 1 || all.GetPending()[0].GetRelease() != waits || len(all.GetSignOffs()) != 1 {
			t.Fatalf("%s: %v", person, all)
		}
		o := all.GetSignOffs()[0]
		if o.GetMaySignOff() != (why == "") || o.GetMayNotReason() != why {
			t.Errorf("%s may: %t, %q", person, o.GetMaySignOff(), o.GetMayNotReason())
		}
		if o.GetRelease() != release || o.GetService() != "shop" || o.GetCheck() != "ledger" || o.GetQuestion() != "Do the sums agree?" || o.GetNumber() != 1 ||
			!slices.Equal(o.GetTargets(), s.WaveTargets()) || !o.GetUntil().AsTime().Equal(s.SignOffs[0].Until) || o.GetRollback() {
			t.Errorf("%s is shown %v", person, o)
		}
		if got := list(person, &approvalv1.ListPendingRequest{Mine: true}); (len(got.GetSignOffs()) == 1) != (why == "") {
			t.Errorf("of %s: %v", person, got)
		}
	}
	// They have pages together with what waits for approvals.
	first := list("anna", &approvalv1.ListPendingRequest{PageSize: 1})
	second := list("anna", &approvalv1.ListPendingRequest{PageSize: 1, PageToken: first.GetNextPageToken()})
	if len(first.GetSignOffs()) != 1 || len(first.GetPending()) != 0 || len(second.GetSignOffs()) != 0 || len(second.GetPending()) != 1 || second.GetNextPageToken() != "" {
		t.Errorf("pages %v and %v", first, second)
	}
	late := func(ahead time.Duration) (listed int, waitsFor string) {
		t.Helper()
		r.ahead.Store(int64(ahead))
		defer r.ahead.Store(0)
		explained, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		return len(list("anna", &approvalv1.ListPendingRequest{}).GetSignOffs()), strings.Join(stepOf(t, explained.GetOutlook(), "6").GetWaitsFor(), "\n")
	}
	if n, waits := late(2 * time.Hour); n != 0 || strings.Contains(waits, "somebody of") || !strings.Contains(waits, "the end of the bake, for nobody of release-managers signed off ledger until ") {
		t.Errorf("when it is too late, %d are listed, and it waits for %q", n, waits)
	}
	r.ahead.Store(int64(2 * time.Hour))
	_, err := desk.SignOff(as(t, "anna"), &approvalv1.SignOffRequest{Release: release, Check: "ledger", Passed: true, Comment: "looked"})
	want(t, "too late", err, codes.FailedPrecondition, "OTHER_STATE")
	if err == nil || strings.Contains(err.Error(), "sign-off") {
		t.Errorf("what is possible when it is too late: %v", err)
	}
	r.ahead.Store(0)
	if _, err := desk.SignOff(as(t, "anna"), &approvalv1.SignOffRequest{Release: release, Check: "ledger", Passed: true, Comment: "looked"}); err != nil {
		t.Fatal(err)
	}
	if got := list("dan", &approvalv1.ListPendingRequest{}); len(got.GetSignOffs()) != 0 {
		t.Errorf("what is answered waits: %v", got)
	}
}
