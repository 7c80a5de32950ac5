package authorize_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnImageIsLetOutWithItsIndex: who asks for the image is told of the index.
func TestAnImageIsLetOutWithItsIndex(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	index, image := r.takenBack(t, release), proceduretest.Digest('7')
	executor := eventstoretest.Store(r, procedure.ServiceExecutor)
	known, err := standing.ReadArtifact(t.Context(), executor, image)
	if err != nil {
		t.Fatal(err)
	}
	event := procedure.DecideImage(known.Quarantined, known.Indexes(), image, index, release)
	event.ProcedureDigest, event.Actor = r.Digest, proceduretest.Service(procedure.ServiceExecutor)
	if _, err := executor.Append(t.Context(), known.Draft(event)); err != nil {
		t.Fatal(err)
	}
	_, err = desk.ProposeClearance(as(t, "gina"), &approvalv1.ProposeClearanceRequest{Digest: image, Reason: "the probe was wrong"})
	want(t, "the image", err, codes.FailedPrecondition, "OTHER_STATE")
	if _, err := desk.ProposeClearance(as(t, "gina"), &approvalv1.ProposeClearanceRequest{Digest: index, Reason: "the probe was wrong"}); err != nil {
		t.Errorf("the index: %v", err)
	}
}
