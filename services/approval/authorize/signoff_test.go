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
