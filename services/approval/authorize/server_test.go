package authorize_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

func TestTwoGroupsAuthorize(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	got, err := desk.Approve(as(t, "anna"), approve(s))
	if err != nil || got.GetAuthorized() || len(got.GetMissing()) != 1 || got.GetMissing()[0].GetGroup() != "security" {
		t.Fatalf("first approval: %v, %v", got, err)
	}
	if got, err = desk.Approve(as(t, "dan"), approve(s)); err != nil || got.GetAuthorized() {
		t.Fatalf("two of one group are not two groups: %v, %v", got, err)
	}
	step := authorize.New(r.Procedures)
	if waits, err := r.Act(t, step, s.Release, time.Now()); err != nil || waits.Phase != procedure.PhaseApprove {
		t.Fatalf("authorized with one group: %v, %v", waits.Phase, err)
	}
	if got, err = desk.Approve(as(t, "ben"), approve(s)); err != nil || !got.GetAuthorized() {
		t.Fatalf("last approval: %v, %v", got, err)
	}
	done, err := r.Act(t, step, s.Release, time.Now())
	if err != nil || done.Phase != procedure.PhaseNotify || len(done.Authorized.GetApprovals()) != 2 {
		t.Errorf("phase %s, %v, %v", done.Phase, done.Authorized, err)
	}
	if a := done.Approvals[0]; a.Person != "anna" || len(a.Groups) != 1 || a.Comment != "seen" {
		t.Errorf("approval on record: %+v", a)
	}
}

func TestIdentities(t *testing.T) {
	r := newRig(t)
	other := newAuthority(t)
	for i, c := range []struct {
		name        string
		certificate *x509.Certificate
		foreign     bool
		reason      string
	}{
		{"by common name", named("anna"), false, ""},
		{"by mail", named("", "Anna@Shop.Example"), false, ""},
		{"by mail beside a name that nobody has", named("workstation-7", "anna@shop.example"), false, ""},
		{"by nobody's name", named("mallory"), false, "UNKNOWN_PERSON"},
		{"by nobody's URI", at("spiffe://shop.example/anna"), false, "UNKNOWN_PERSON"},
		{"by a name with a letter of another alphabet", named("\u0430nna"), false, "UNKNOWN_PERSON"},
		{"by a name with nothing to be seen in it", named("an\u200bna"), false, "UNKNOWN_PERSON"},
		{"by a name that reads backwards", named("\u202eanna"), false, "UNKNOWN_PERSON"},
		{"by a name in full width", named("\uff41\uff4e\uff4e\uff41"), false, "UNKNOWN_PERSON"},
		{"by a name with a blank", named("anna "), false, "UNKNOWN_PERSON"},
		{"by the name of a service", named(procedure.ServiceApproval), false, "UNKNOWN_PERSON"},
		{"by two people's names", named("ben", "anna@shop.example"), false, "AMBIGUOUS_PERSON"},
		{"who has left", named("hugo"), false, "INACTIVE_PERSON"},
		{"of a machine", named("ci-bot"), false, "MACHINE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := r.pending(t, key(fmt.Sprintf("certificate-%d", i)))
			_, err := r.dial(t, r.ca.issue(t, c.certificate)).Approve(t.Context(), approve(s))
			if c.reason != "" {
				want(t, c.name, err, codes.PermissionDenied, c.reason)
				return
			}
			after := r.Task(t, s.Release, time.Now())
			if err != nil || after.Cause.Event.GetActor().GetId() != "anna" || after.Cause.Event.GetActor().GetMethod() != "mtls" {
				t.Errorf("%v, %v", after.Cause.Event.GetActor(), err)
			}
		})
	}
	s := r.pending(t, key("others"))
	if _, err := r.dial(t, other.issue(t, named("anna"))).Approve(t.Context(), approve(s)); err == nil {
		t.Error("a certificate of another authority was taken")
	}
	_, err := r.dial(t).Approve(t.Context(), approve(s))
	want(t, "without a certificate and a token", err, codes.Unauthenticated, "UNAUTHENTICATED")
	_, err = r.dial(t).Approve(as(t, "nobody at all"), approve(s))
	want(t, "with a wrong token", err, codes.Unauthenticated, "UNAUTHENTICATED")
	_, err = r.dial(t, r.ca.issue(t, named("anna"))).Approve(as(t, "nobody at all"), approve(s))
	want(t, "with a wrong token on a good certificate", err, codes.Unauthenticated, "UNAUTHENTICATED")
}

func TestWhoMayNotApprove(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	for person, reason := range map[string]string{
		"rita": "OWN_CHANGE", "rr": "OWN_CHANGE", "otto": "OWN_CHANGE", "ada": "OWN_CHANGE", "alan": "OWN_CHANGE",
		"finn": "NOT_APPROVER", "eve": "NOT_APPROVER", "hugo": "INACTIVE_PERSON", "ci-bot": "MACHINE", "mallory": "UNKNOWN_PERSON",
	} {
		_, err := desk.Approve(as(t, person), approve(s))
		want(t, person, err, codes.PermissionDenied, reason)
	}
	stale := approve(s)
	stale.ChangeDigest = proceduretest.Digest('0')
	_, err := desk.Approve(as(t, "anna"), stale)
	want(t, "stale digest", err, codes.Aborted, "STALE_CHANGE_DIGEST")
	_, err = desk.Approve(as(t, "anna"), &approvalv1.ApproveRequest{
		Release: "shop-aaaaaaaaaaaaaaaa", ChangeDigest: s.ChangeDigest, ShownDigest: proceduretest.Digest('f'),
	})
	want(t, "no release", err, codes.NotFound, "RELEASE_NOT_FOUND")
	if _, err = desk.Approve(as(t, "anna"), approve(s)); err != nil {
		t.Fatal(err)
	}
	_, err = desk.Approve(as(t, "ANNA@shop.example"), approve(s))
	want(t, "twice, by an alias", err, codes.AlreadyExists, "APPROVED_ALREADY")
	early := r.Request(t, key("early"))
	_, err = desk.Approve(as(t, "anna"), &approvalv1.ApproveRequest{
		Release: early, ChangeDigest: s.ChangeDigest, ShownDigest: proceduretest.Digest('f'),
	})
	want(t, "before there is anything to approve", err, codes.FailedPrecondition, "NOT_PENDING")
	if n := len(r.Events(t, s.Release)); n != 6 {
		t.Errorf("%d events: what was refused is on record", n)
	}
}

func TestWhoeverHasLeftDecidesNothingMore(t *testing.T) {
	for name, leave := range map[string]func(*policyv1.Procedure){
		"inactive": func(d *policyv1.Procedure) {
			d.People[0].Inactive = true
			d.Groups[0].Members = d.GetGroups()[0].GetMembers()[1:]
		},
		"gone": func(d *policyv1.Procedure) {
			d.People = d.GetPeople()[1:]
			d.Groups[0].Members = d.GetGroups()[0].GetMembers()[1:]
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s, desk := r.pending(t), r.dial(t)
			r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Version = "2.0" }, leave))
			_, err := desk.Approve(as(t, "anna"), approve(s))
			want(t, name, err, codes.PermissionDenied, map[string]string{"inactive": "INACTIVE_PERSON", "gone": "UNKNOWN_PERSON"}[name])
			if _, err := desk.Approve(as(t, "dan"), approve(s)); err != nil {
				t.Errorf("the release goes on under its own document: %v", err)
			}
		})
	}
}

// TestWhoeverLeftTheGroupApprovesNoMore: whose approval counts is judged by both
// documents, the release's own and the one in effect.
func TestWhoeverLeftTheGroupApprovesNoMore(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Version = "2.0"
		d.Groups[0].Members = []string{"dan", "finn", "rita", "otto"}
	}))
	for _, person := range []string{"anna", "finn"} {
		_, err := desk.Approve(as(t, person), approve(s))
		want(t, person, err, codes.PermissionDenied, "NOT_APPROVER")
	}
	if _, err := desk.Approve(as(t, "cleo"), approve(s)); err != nil {
		t.Fatal(err)
	}
	if got := r.State(t, s.Release).Approvals[0].Groups; !slices.Equal(got, []string{"security"}) {
		t.Errorf("Cleo approved for %v", got)
	}
}

// TestAGroupThatIsGoneIsReplaced: an operator of today handles what began when the
// operators were another group.
func TestAGroupThatIsGoneIsReplaced(t *testing.T) {
	r := newRig(t)
	release, desk := r.Reach(t, procedure.PhaseExecuting), r.dial(t)
	r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Version = "2.0"
		i := slices.IndexFunc(d.GetGroups(), func(g *policyv1.Group) bool { return g.GetName() == d.GetOperatorsGroup() })
		d.Groups[i].Name, d.Groups[i].Members, d.OperatorsGroup = "duty", []string{"finn"}, "duty"
		for _, rung := range d.GetEscalation().GetRungs() {
			if rung.GetGroup() == "operators" {
				rung.Group = "duty"
			}
		}
	}))
	_, err := desk.Abort(as(t, "gina"), &approvalv1.AbortRequest{Release: release, Reason: "x"})
	want(t, "who was an operator", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Abort(as(t, "finn"), &approvalv1.AbortRequest{Release: release, Reason: "x"}); err != nil {
		t.Error(err)
	}
}

func TestWhatDoesNotCountIsNotStored(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	before := len(r.Events(t, s.Release))
	early := r.Request(t, key("early"))
	for what, call := range map[string]func() error{
		"approval withdrawn that was not given": func() error {
			_, err := desk.WithdrawApproval(as(t, "finn"), &approvalv1.WithdrawApprovalRequest{Release: s.Release, Reason: "x"})
			return err
		},
		"rejected before there was anything to reject": func() error {
			_, err := desk.Reject(as(t, "anna"), &approvalv1.RejectRequest{Release: early, Reason: "x"})
			return err
		},
		"aborted before it started": func() error {
			_, err := desk.Abort(as(t, "gina"), &approvalv1.AbortRequest{Release: s.Release, Reason: "x"})
			return err
		},
		"acknowledged what was not called": func() error {
			_, err := desk.Acknowledge(as(t, "gina"), &approvalv1.AcknowledgeRequest{Release: s.Release, Comment: "x"})
			return err
		},
		"intervened without need": func() error {
			_, err := desk.Intervene(as(t, "gina"), &approvalv1.InterveneRequest{Release: s.Release, Action: releasev1.Intervened_ACTION_RETRY, Reason: "x"})
			return err
		},
		"reviewed what owes no review": func() error {
			_, err := desk.CompleteReview(as(t, "ben"), review(s.Release))
			return err
		},
	} {
		want(t, what, call(), codes.FailedPrecondition, "OTHER_STATE")
	}
	if after := len(r.Events(t, s.Release)); after != before || len(r.Events(t, early)) != 1 {
		t.Errorf("%d events, want %d", after, before)
	}
}

func TestARejectionIsFinal(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	_, err := desk.Reject(as(t, "finn"), &approvalv1.RejectRequest{Release: s.Release, Reason: "no"})
	want(t, "by somebody in no group", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Reject(as(t, "ben"), &approvalv1.RejectRequest{Release: s.Release, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	if got := r.State(t, s.Release); got.Outcome != releasev1.Outcome_OUTCOME_REJECTED || got.EndedBy != "ben" || got.EndReason != "no" {
		t.Errorf("%s by %s: %s", got.Outcome, got.EndedBy, got.EndReason)
	}
	_, err = desk.Approve(as(t, "anna"), approve(s))
	want(t, "approved after it", err, codes.FailedPrecondition, "NOT_PENDING")
}

func TestAnApprovalIsWithdrawnByWhoGaveIt(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseExecute)
	desk := r.dial(t)
	_, err := desk.WithdrawApproval(as(t, "dan"), &approvalv1.WithdrawApprovalRequest{Release: release, Reason: "x"})
	want(t, "by another", err, codes.FailedPrecondition, "OTHER_STATE")
	if _, err := desk.WithdrawApproval(as(t, "anna"), &approvalv1.WithdrawApprovalRequest{Release: release, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t, release); s.Phase != procedure.PhaseApprove || s.Authorized != nil {
		t.Errorf("phase %s, authorized %v", s.Phase, s.Authorized)
	}
}

func TestOnlyOwnerAndRequesterWithdraw(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	for person, allowed := range map[string]bool{"otto": true, "rita": true, "gina": false, "anna": false} {
		s := r.pending(t, key("w-"+person))
		_, err := desk.Withdraw(as(t, person), &approvalv1.WithdrawRequest{Release: s.Release, Reason: "wrong"})
		if !allowed {
			want(t, person, err, codes.PermissionDenied, "NOT_ALLOWED")
		} else if got := r.State(t, s.Release).Outcome; err != nil || got != releasev1.Outcome_OUTCOME_WITHDRAWN {
			t.Errorf("%s: %v, %s", person, err, got)
		}
	}
	running := r.Reach(t, procedure.PhaseExecuting, key("running"))
	_, err := desk.Withdraw(as(t, "otto"), &approvalv1.WithdrawRequest{Release: running, Reason: "wrong"})
	want(t, "after it started", err, codes.FailedPrecondition, "OTHER_STATE")
}

func TestOnlyOwnerAndOperatorsAbort(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	for person, allowed := range map[string]bool{"gina": true, "otto": true, "anna": false, "rita": false} {
		release := r.Reach(t, procedure.PhaseExecuting, key("a-"+person))
		_, err := desk.Abort(as(t, person), &approvalv1.AbortRequest{Release: release, Reason: "smoke"})
		if !allowed {
			want(t, person, err, codes.PermissionDenied, "NOT_ALLOWED")
		} else if got := r.State(t, release).AbortBy; err != nil || got != person {
			t.Errorf("%s: %v, aborted by %q", person, err, got)
		}
	}
}

// TestOnlyOwnerAndOperatorsPauseAndResume: as with an abort. Two pauses are one, in the name of
// who gave the first (PD-5.3).
func TestOnlyOwnerAndOperatorsPauseAndResume(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseExecuting)
	_, err := desk.Resume(as(t, "gina"), &approvalv1.ResumeRequest{Release: release, Reason: "smoke"})
	want(t, "resumed what is not paused", err, codes.FailedPrecondition, "OTHER_STATE")
	if err == nil || !strings.Contains(err.Error(), "it is not paused") {
		t.Errorf("resumed what is not paused: %v", err)
	}
	for _, person := range []string{"anna", "rita"} {
		_, err := desk.Pause(as(t, person), &approvalv1.PauseRequest{Release: release, Reason: "smoke"})
		want(t, person, err, codes.PermissionDenied, "NOT_ALLOWED")
	}
	before := len(r.Events(t, release))
	for _, person := range []string{"gina", "gina", "otto"} {
		answer, err := desk.Pause(as(t, person), &approvalv1.PauseRequest{Release: release, Reason: "smoke"})
		if err != nil || answer.GetPausedBy() != "gina" {
			t.Fatalf("%s: paused by %q: %v", person, answer.GetPausedBy(), err)
		}
	}
	// Who has another reason hears that it is not on record, and whose is.
	since := r.State(t, release).Pause.Since
	answer, err := desk.Pause(as(t, "otto"), &approvalv1.PauseRequest{Release: release, Reason: "a customer calls"})
	if err != nil || !answer.GetAlready() || answer.GetReason() != "smoke" || !answer.GetSince().AsTime().Equal(since) {
		t.Errorf("paused for another reason: %v, %v", answer, err)
	}
	if s := r.State(t, release); s.Pause.Person != "gina" || s.Pause.Reason != "smoke" || len(r.Events(t, release)) != before+1 {
		t.Errorf("paused by %q because %q, %d events more", s.Pause.Person, s.Pause.Reason, len(r.Events(t, release))-before)
	}
	_, err = desk.Resume(as(t, "anna"), &approvalv1.ResumeRequest{Release: release, Reason: "it was fog"})
	want(t, "resumed by anybody", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Resume(as(t, "otto"), &approvalv1.ResumeRequest{Release: release, Reason: "it was fog"}); err != nil || r.State(t, release).Paused() {
		t.Errorf("resumed by the owner: %v", err)
	}
	_, err = desk.Pause(as(t, "gina"), &approvalv1.PauseRequest{Release: release, Reason: " "})
	want(t, "without a reason", err, codes.InvalidArgument, "INVALID_FIELD")

	waiting := r.pending(t, key("waiting"))
	first, err := desk.Pause(as(t, "gina"), &approvalv1.PauseRequest{Release: waiting.Release, Reason: "not today"})
	if err != nil || first.GetAlready() || first.GetPausedBy() != "gina" || first.GetReason() != "not today" || !first.GetSince().AsTime().Equal(r.State(t, waiting.Release).Pause.Since) {
		t.Fatalf("paused for the first time: %v, %v", first, err)
	}
	shown, err := desk.GetPending(as(t, "anna"), &approvalv1.GetPendingRequest{Release: waiting.Release})
	if h := shown.GetPending().GetHolds(); err != nil || len(h) == 0 || h[0].GetRule() != procedure.HoldPaused || h[0].GetSetBy() != "gina" {
		t.Errorf("who approves is shown %v: %v", h, err)
	}
	if _, err := desk.Approve(as(t, "anna"), approve(waiting)); err != nil {
		t.Errorf("approved while it is paused: %v", err)
	}
}

func TestDecisionsAtOnceAllCountOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		s, desk := r.pending(t), r.dial(t)
		var given, already atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			for _, person := range []string{"anna", "ben", "cleo", "dan"} {
				ctx := as(t, person)
				all.Go(func() {
					_, err := desk.Approve(ctx, approve(s))
					if err == nil {
						given.Add(1)
					} else {
						already.Add(1)
					}
				})
			}
		}
		all.Wait()
		if got := r.State(t, s.Release); given.Load() != 4 || already.Load() != 12 || len(got.Approvals) != 4 {
			t.Errorf("%d given, %d refused, %d on record", given.Load(), already.Load(), len(got.Approvals))
		}
	})
}
