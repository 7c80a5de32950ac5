package amend_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// TestADocumentThatCannotBeKeptIsNotProposed, and whoever proposes it is told why.
func TestADocumentThatCannotBeKeptIsNotProposed(t *testing.T) {
	r := newRig(t)
	eventstoretest.Full(t, r)
	_, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "1.1"), Reason: "because"})
	if status.Code(err) != codes.ResourceExhausted || reason(err) != "EVIDENCE_FULL" {
		t.Errorf("%v", err)
	}
}
