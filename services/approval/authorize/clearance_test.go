package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// takenBack carries a release to where it is sent back, and puts its artifact into
// quarantine as the executor does. It returns the artifact.
func (r *rig) takenBack(t *testing.T, release string) string {
	t.Helper()
	s := r.State(t, release)
	executor := eventstoretest.Store(r, procedure.ServiceExecutor)
	artifact, err := standing.ReadArtifact(t.Context(), executor, s.PrimaryArtifact().GetDigest())
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.Store.Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		t.Fatal(err)
	}
	event := procedure.DecideQuarantine(artifact.Quarantined, artifact.Digest, procedure.WhyQuarantined(s, h.Entries, time.Now()))
	event.ProcedureDigest, event.Actor = r.Digest, proceduretest.Service(procedure.ServiceExecutor)
	if _, err := executor.Append(t.Context(), artifact.Draft(event)); err != nil {
		t.Fatal(err)
	}
	return artifact.Digest
}

func (r *rig) held(t *testing.T, digest string) bool {
	t.Helper()
	a, err := standing.ReadArtifact(t.Context(), r.Store, digest)
	if err != nil {
		t.Fatal(err)
	}
	return a.Held
}

// everybody confirms in this document: the group that agrees holds people who had a part.
func everybody(d *policyv1.Procedure) {
	d.Groups = append(d.Groups, &policyv1.Group{Name: "quality", Members: []string{"cleo", "rita", "otto", "ada", "alan", "dan"}})
	d.Quarantine = &policyv1.Quarantine{Group: "quality"}
}

// TestTwoPeopleLetAnArtifactOutOfQuarantine is the rule of N-17, and who is refused by it.
func TestTwoPeopleLetAnArtifactOutOfQuarantine(t *testing.T) {
	r := newRig(t, everybody)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	digest := r.State(t, release).PrimaryArtifact().GetDigest()
	propose := &approvalv1.ProposeClearanceRequest{Digest: digest, Reason: "the probe was wrong"}
	_, err := desk.ProposeClearance(as(t, "otto"), propose)
	want(t, "before it is in quarantine", err, codes.FailedPrecondition, "NOT_QUARANTINED")
	r.takenBack(t, release)
	confirm := &approvalv1.ConfirmClearanceRequest{Digest: digest, Sequence: 1, Comment: "seen"}
	_, err = desk.ConfirmClearance(as(t, "cleo"), confirm)
	want(t, "as somebody else saw it", err, codes.Aborted, "STALE_QUARANTINE")
	for person, reason := range map[string]string{"finn": "NOT_ALLOWED", "hugo": "INACTIVE_PERSON", "ci-bot": "MACHINE", "mallory": "UNKNOWN_PERSON"} {
		_, err = desk.ProposeClearance(as(t, person), propose)
		want(t, "asked for by "+person, err, codes.PermissionDenied, reason)
	}
	asked, err := desk.ProposeClearance(as(t, "otto"), propose)
	if err != nil || asked.GetState().GetClearance().GetProposedBy() != "otto" || !r.held(t, digest) {
		t.Fatalf("%v, %v", asked, err)
	}
	confirm.Sequence = asked.GetSequence()
	for person, reason := range map[string]string{
		"otto": "OWN_PROPOSAL", "rita": "OWN_CHANGE", "ada": "OWN_CHANGE", "anna": "NOT_ALLOWED", "gina": "NOT_ALLOWED",
	} {
		_, err = desk.ConfirmClearance(as(t, person), confirm)
		want(t, "agreed to by "+person, err, codes.PermissionDenied, reason)
	}
	for name, bad := range map[string]*approvalv1.ConfirmClearanceRequest{
		"no comment":  {Digest: digest, Sequence: confirm.GetSequence(), Comment: " "},
		"no digest":   {Sequence: confirm.GetSequence(), Comment: "seen"},
		"no sequence": {Digest: digest, Comment: "seen"},
		"long":        {Digest: digest, Sequence: confirm.GetSequence(), Comment: strings.Repeat("x", 1025)},
	} {
		_, err = desk.ConfirmClearance(as(t, "cleo"), bad)
		want(t, name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	_, err = desk.ProposeClearance(as(t, "otto"), &approvalv1.ProposeClearanceRequest{Digest: "sha256:AA", Reason: "why"})
	want(t, "a digest that is none", err, codes.InvalidArgument, "INVALID_FIELD")
	if !r.held(t, digest) {
		t.Fatal("what was refused let it out")
	}
	out, err := desk.ConfirmClearance(as(t, "cleo"), confirm)
	if err != nil || out.GetState().GetClearance().GetConfirmedBy() != "cleo" || r.held(t, digest) {
		t.Fatalf("%v, %v", out, err)
	}
	_, err = desk.ConfirmClearance(as(t, "alan"), confirm)
	want(t, "let out twice", err, codes.FailedPrecondition, "NOT_QUARANTINED")
}

// TestAProposalDoesNotOutliveWhatItWasAbout: another release failed with the artifact
// meanwhile, or whoever asked has left.
func TestAProposalDoesNotOutliveWhatItWasAbout(t *testing.T) {
	r := newRig(t, everybody)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	digest := r.takenBack(t, release)
	propose := &approvalv1.ProposeClearanceRequest{Digest: digest, Reason: "the probe was wrong"}
	asked, err := desk.ProposeClearance(as(t, "dan"), propose)
	if err != nil {
		t.Fatal(err)
	}
	other := r.Reach(t, procedure.PhaseVerify, proceduretest.Key("other"), proceduretest.Waves([]string{"us1"}))
	r.Do(t, other, "", proceduretest.Verified(r.State(t, other), releasev1.CheckResult_VERDICT_FAIL, false))
	r.takenBack(t, other)
	confirm := &approvalv1.ConfirmClearanceRequest{Digest: digest, Sequence: asked.GetSequence(), Comment: "seen"}
	_, err = desk.ConfirmClearance(as(t, "cleo"), confirm)
	want(t, "of before", err, codes.Aborted, "STALE_QUARANTINE")
	now, err := standing.ReadArtifact(t.Context(), r.Store, digest)
	if err != nil {
		t.Fatal(err)
	}
	confirm.Sequence = now.Expect
	_, err = desk.ConfirmClearance(as(t, "cleo"), confirm)
	want(t, "without a proposal", err, codes.FailedPrecondition, "NOT_PROPOSED")
	if asked, err = desk.ProposeClearance(as(t, "dan"), propose); err != nil {
		t.Fatal(err)
	}
	confirm.Sequence = asked.GetSequence()
	r.Activate(t, approvaltest.Document(everybody, func(d *policyv1.Procedure) {
		d.Version = "2.0"
		for _, p := range d.GetPeople() {
			p.Inactive = p.GetInactive() || p.GetId() == "dan"
		}
		for _, g := range d.GetGroups() {
			g.Members = slices.DeleteFunc(g.GetMembers(), func(m string) bool { return m == "dan" })
		}
	}))
	_, err = desk.ConfirmClearance(as(t, "cleo"), confirm)
	want(t, "asked for by somebody who left", err, codes.FailedPrecondition, "OTHER_STATE")
	if !r.held(t, digest) {
		t.Error("it was let out")
	}
}
