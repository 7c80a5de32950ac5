package authorize_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// TestLinkedAccountsLetNothingOutTogether: only the document in effect now knows that Cleo
// is Rita, who asked for what failed, or Ada, who wrote it. Whoever is one person is one, as
// when they approve (PD-A.1).
func TestLinkedAccountsLetNothingOutTogether(t *testing.T) {
	r := newRig(t, everybody)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	digest := r.takenBack(t, release)
	asked, err := desk.ProposeClearance(as(t, "dan"), &approvalv1.ProposeClearanceRequest{Digest: digest, Reason: "the probe was wrong"})
	if err != nil {
		t.Fatal(err)
	}
	confirm := &approvalv1.ConfirmClearanceRequest{Digest: digest, Sequence: asked.GetSequence(), Comment: "seen"}
	for _, old := range []string{"rita", "ada"} {
		r.Activate(t, approvaltest.Document(everybody, linked("cleo", old)))
		_, err = desk.ConfirmClearance(as(t, "cleo"), confirm)
		want(t, "by who was "+old, err, codes.PermissionDenied, "OWN_CHANGE")
	}
	if !r.held(t, digest) {
		t.Fatal("what was refused let it out")
	}
	r.Activate(t, approvaltest.Document(everybody, linked("cleo", "finn")))
	out, err := desk.ConfirmClearance(as(t, "cleo"), confirm)
	if got := out.GetState().GetClearance(); err != nil || !slices.Equal(got.GetConfirmedAs(), []string{"cleo", "finn"}) || r.held(t, digest) {
		t.Errorf("%v, %v", out, err)
	}
}

// linked makes one account an alias of another person.
func linked(person, old string) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		d.Version = "1-" + old
		d.People = slices.DeleteFunc(d.GetPeople(), func(p *policyv1.Person) bool { return p.GetId() == old })
		for _, p := range d.GetPeople() {
			if p.GetId() == person {
				p.Aliases = append(p.GetAliases(), old)
			}
		}
		for _, g := range d.GetGroups() {
			g.Members = slices.DeleteFunc(g.GetMembers(), func(m string) bool { return m == old })
		}
	}
}
