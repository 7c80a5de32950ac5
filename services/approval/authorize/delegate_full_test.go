package authorize_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// TestNobodyFillsTheDelegationsAlone: what one person delegates takes nothing from others.
func TestNobodyFillsTheDelegationsAlone(t *testing.T) {
	r := newRig(t, standIns)
	desk := r.dial(t)
	for i := range 8 {
		begin := time.Now().Add(time.Duration(i) * time.Hour)
		if _, err := desk.Delegate(as(t, "anna"), &approvalv1.DelegateRequest{
			StandIn: "finn", From: timestamppb.New(begin), Until: timestamppb.New(begin.Add(30 * time.Minute)), Reason: strings.Repeat("x", 256),
		}); err != nil {
			t.Fatalf("delegation %d: %v", i+1, err)
		}
	}
	_, err := has(t, desk, "anna", "finn")
	want(t, "the ninth", err, codes.ResourceExhausted, "TOO_MANY_OF_ONE_PERSON")
	if _, err := has(t, desk, "dan", "finn"); err != nil {
		t.Errorf("of somebody else: %v", err)
	}
	if _, err := desk.RevokeDelegation(as(t, "anna"), &approvalv1.RevokeDelegationRequest{Number: 3, Reason: "not needed"}); err != nil {
		t.Fatal(err)
	}
	if _, err := has(t, desk, "anna", "finn"); err != nil {
		t.Errorf("after one was revoked: %v", err)
	}
}

// delegated has so many delegations stand on record, with a reason of that many bytes.
func (r *rig) delegated(t *testing.T, count uint32, reason int) {
	t.Helper()
	all := &releasev1.DelegationsChanged{LastNumber: count}
	for i := range count {
		all.Delegations = append(all.GetDelegations(), &releasev1.Delegation{
			Number: i + 1, Person: fmt.Sprint("person-", i), StandIn: "finn", Reason: strings.Repeat("ä", reason/2),
			From: timestamppb.Now(), Until: timestamppb.New(time.Now().Add(time.Hour)),
		})
	}
	all.Changed = all.GetDelegations()[count-1]
	if _, err := r.Store.Append(t.Context(), eventstore.Draft{
		Aggregate: procedure.DelegationsAggregate(approvaltest.ProcedureID),
		Event: &releasev1.Event{
			Actor: &releasev1.Actor{Id: "gina", Kind: releasev1.Actor_KIND_HUMAN, Method: "token"}, ProcedureDigest: r.Digest,
			Data: &releasev1.Event_DelegationsChanged{DelegationsChanged: all},
		},
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDelegationsAreRevokedAlways, however full the event is that holds them; who finds no
// room for one more is told so, and it is not the service's fault.
func TestDelegationsAreRevokedAlways(t *testing.T) {
	r := newRig(t, standIns)
	desk := r.dial(t)
	r.delegated(t, 175, 256)
	_, err := has(t, desk, "anna", "finn")
	want(t, "one more", err, codes.ResourceExhausted, "DELEGATIONS_FULL")
	for number := uint32(1); number <= 20; number++ {
		if _, err := desk.RevokeDelegation(as(t, "finn"), &approvalv1.RevokeDelegationRequest{Number: number, Reason: strings.Repeat("x", 256)}); err != nil {
			t.Fatalf("revoke %d: %v", number, err)
		}
	}
	if _, err := has(t, desk, "anna", "finn"); err != nil {
		t.Errorf("when there is room: %v", err)
	}
}

// TestLongReasonsOfBeforeFillNothing: they stay where they were given, and are cut where
// they are only carried on.
func TestLongReasonsOfBeforeFillNothing(t *testing.T) {
	r := newRig(t, standIns)
	desk := r.dial(t)
	r.delegated(t, 13, 4096)
	if _, err := has(t, desk, "anna", "finn"); err != nil {
		t.Fatal(err)
	}
	all, err := standing.ReadDelegations(t.Context(), r.Store, approvaltest.ProcedureID)
	if err != nil || len(all.All) != 14 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, d := range all.All {
		if len(d.GetReason()) > 256 || d.GetPerson() != "anna" && !strings.HasSuffix(d.GetReason(), "ä…") {
			t.Errorf("%d bytes: %s", len(d.GetReason()), d.GetReason())
		}
	}
}
