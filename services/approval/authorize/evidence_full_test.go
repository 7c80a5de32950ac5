package authorize_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
)

// TestAnApproverIsNotKeptWaitingForRoomInAnEmergency: what people were shown cannot be kept.
// Of a planned release they are told so and nothing is decided; an emergency is authorized,
// and the event says what nobody can look at.
func TestAnApproverIsNotKeptWaitingForRoomInAnEmergency(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	planned, urgent := r.pending(t), r.pending(t, key("urgent"), proceduretest.Emergency)
	eventstoretest.Full(t, r)
	_, err := desk.Approve(as(t, "anna"), seen(r.look(t, desk, "anna", planned.Release)))
	want(t, "planned", err, codes.ResourceExhausted, "EVIDENCE_FULL")
	if n := len(r.State(t, planned.Release).Approvals); n != 0 {
		t.Errorf("%d approvals are on record", n)
	}
	shown := r.look(t, desk, "eve", urgent.Release)
	if _, err := desk.Approve(as(t, "eve"), seen(shown)); err != nil {
		t.Fatalf("an emergency: %v", err)
	}
	e := r.Task(t, urgent.Release, time.Now()).Cause.Event
	if e.GetApprovalGiven() == nil || len(e.GetUnkept()) != 1 || e.GetUnkept()[0].GetDigest() != shown.GetShownDigest() {
		t.Errorf("the event says %v", e.GetUnkept())
	}
}
