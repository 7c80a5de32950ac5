package procedure_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnyChangeIsAnotherDigest changes every field of everything that will run, one
// at a time, as deep as messages go: an approval of the one is none of the other
// (PD-A.3).
func TestAnyChangeIsAnotherDigest(t *testing.T) {
	s := whole(t)
	seen := map[string]string{s.ChangeDigest: "nothing"}
	names := map[string]bool{}
	proceduretest.Changes(s, func(what string, changed procedure.State) {
		got := procedure.ChangeDigest(changed)
		if same, known := seen[got]; known {
			t.Errorf("a change of %s has the digest of a change of %s", what, same)
		}
		if names[what] {
			t.Errorf("%s is changed twice", what)
		}
		seen[got], names[what] = what, true
	})
	if len(seen) < 500 {
		t.Errorf("only %d changes were tried", len(seen))
	}
	// Of every probe, though a check has one.
	for _, probe := range []string{"tcp", "grpc", "dns", "tls", "prometheus"} {
		if what := "request.validation.checks[0]." + probe + " in place of http"; !names[what] {
			t.Errorf("%s was not tried", what)
		}
	}
}

// TestNobodyHasApprovedAnotherChange: whatever is another, whoever approved the one has not
// approved the other (N-02).
func TestNobodyHasApprovedAnotherChange(t *testing.T) {
	s := whole(t)
	eve := &releasev1.Actor{Id: "eve", Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"incident-commanders"}}
	at := s.Entered.Add(time.Minute)
	if err := procedure.MayApprove(s, eve, s.ChangeDigest, at); err != nil {
		t.Fatal(err)
	}
	proceduretest.Changes(s, func(what string, changed procedure.State) {
		changed.ChangeDigest = procedure.ChangeDigest(changed)
		if err := procedure.MayApprove(changed, eve, s.ChangeDigest, at); !errors.Is(err, procedure.ErrStaleDigest) {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// TestEveryFieldOfAReleaseIsApprovedOrHasAReason: whatever a release comes to know is part
// of what people approve, or somebody has said why it is not.
func TestEveryFieldOfAReleaseIsApprovedOrHasAReason(t *testing.T) {
	const (
		approved = ""
		verdict  = "it was found out about the change, is shown to approvers, and looked at again at the start"
		course   = "it is how far the release has come, and not what will run"
		people   = "it is what people do about the change"
		told     = "it is what people are told"
		outcome  = "it is what became of the change"
	)
	reasons := map[string]string{
		"Release": approved, "ProcedureDigest": approved, "Request": approved, "Artifacts": approved, "Previews": approved,
		"Chosen": approved, // The lane; the rest of it is in the request.

		"Requested": "what will run of it is the request", "RequestedAt": "it is in the text that is signed",
		"LateEvidence": verdict, "Unkept": verdict, "Gates": verdict, "Confirmed": verdict, "Targets": verdict, "Findings": verdict,
		"Score": verdict, "Bypassed": verdict, "Began": course, "Anew": course,

		"Phase": course, "Entered": course, "Head": course, "Events": course, "Holds": course, "HeldUntil": course, "HeldFor": course,
		"HeldSince": course, "Freed": course, "Wave": course, "Attempt": course, "Claim": course, "Touched": course, "Begun": course,
		"WavesBegan": course, "Verifications": course, "RollbackAttempt": course, "Rollbacks": course,

		"ChangeDigest": "it is the digest", "Quorum": people, "ApproveBy": people, "Approvals": people, "TakenBack": people, "Authorized": people,
		"Deciders": people, "AbortBy": people, "AbortReason": people, "Pause": people, "Pauses": people, "Forced": people, "SignOffs": people, "SignOffsAsked": people, "Attempts": people, "Overrides": people, "DecideFrom": people,

		"RemindAt": told, "Announced": told, "ApprovalWaits": told, "ApprovalsFollowed": told, "Escalations": told, "Wanted": told, "Deferred": told,
		"Told": told, "Corrections": told, "Corrected": told, "KnownWaits": told, "NoticeOverdue": told, "Reminded": told,

		"Results": outcome, "EscalatedFor": outcome, "EscalatedRollback": outcome, "Impacts": outcome, "Impact": outcome, "Outcome": outcome,
		"EndReason": outcome, "EndedBy": outcome, "Recorded": outcome, "RecordedAt": outcome, "ReviewDue": outcome, "ReviewOverdue": outcome, "Review": outcome,
		"ReviewedBy": outcome, "FollowUps": outcome, "Drifts": outcome, "DriftsSeen": outcome, "Question": outcome,
		"Verified": outcome, "Later": outcome,
	}
	s := whole(t)
	s.Chosen = &releasev1.Chosen{Lane: "standard"}
	digest := procedure.ChangeDigest(s)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[procedure.State]()) {
		reason, known := reasons[f.Name]
		delete(reasons, f.Name)
		if !known {
			t.Errorf("%s is new: have ChangeDigest cover it, or say here why people do not approve it", f.Name)
			continue
		}
		without := s
		reflect.ValueOf(&without).Elem().FieldByIndex(f.Index).SetZero()
		if covered := procedure.ChangeDigest(without) != digest; covered != (reason == approved) {
			t.Errorf("%s: covered %v, and %q", f.Name, covered, reason)
		}
	}
	for name := range reasons {
		t.Errorf("%s is no field", name)
	}
}

// whole is a release that waits for approvals and has every field set.
func whole(t *testing.T) procedure.State {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(two, proceduretest.Emergency))
	h.To(t, procedure.PhaseApprove)
	s := proceduretest.Whole(h.State())
	s.ChangeDigest = procedure.ChangeDigest(s)
	return s
}

// TestEqualContentsHaveEqualDigests takes contents through their stored form: what
// another process reads has the digest that this one wrote.
func TestEqualContentsHaveEqualDigests(t *testing.T) {
	r := proceduretest.Full(proceduretest.Request(two))
	for i := range 8 {
		r.Plan.Parameters[fmt.Sprint("p", i)] = fmt.Sprint(i)
	}
	for range 20 {
		body, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again releasev1.Request
		if err := proto.Unmarshal(body, &again); err != nil {
			t.Fatal(err)
		}
		if a, b := procedure.RequestDigest(r), procedure.RequestDigest(&again); a != b {
			t.Fatalf("%s, and read again %s", a, b)
		}
	}
}

// TestDigestsDoNotChange pins the form of the digests: approvals that were signed
// name them for years.
func TestDigestsDoNotChange(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	if got, want := h.State().ChangeDigest, "sha256:d8fef493896dbc87c06e758e23f180563e153df0df9479c1b857cd345532774e"; got != want {
		t.Errorf("change digest %s, want %s", got, want)
	}
	if got, want := procedure.RequestDigest(proceduretest.Request()), "sha256:57e4aaddc16844321b1af31538a9fccc8b3bddafc4a0f41340d6dcbdb9ca91ab"; got != want {
		t.Errorf("request digest %s, want %s", got, want)
	}
	if got, want := h.Release, "shop-fhsb6agu2cohxs3q"; got != want {
		t.Errorf("release %s, want %s", got, want)
	}
}
