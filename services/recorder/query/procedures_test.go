package query_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// The history of a procedure document is on record with who, why and what; an event that
// does not lead to the standing that it carries is marked, whatever the services made of
// it.
func TestTheHistoryOfAProcedureDocument(t *testing.T) {
	s := serve(t)
	board := func(id string) *releasev1.Actor {
		return &releasev1.Actor{Id: id, Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: []string{"board"}}
	}
	d := procedure.NewDocument("PROC-DEPLOY-001")
	now := s.stream.Now
	write := func(e *releasev1.Event, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		e = proto.CloneOf(e)
		e.Aggregate = d.Aggregate
		entry := proceduretest.Entry(procedure.State{Head: d.Head}, s.stream.Last+1, now, nil, e)
		recordertest.Write(t, s.ledger, 1, []ledger.Message{recordertest.Message(entry)})
		s.stream.Last++
		if next, err := procedure.EvolveDocument(d, recordertest.Message(entry).Entry); err == nil {
			d = next
		}
	}
	write(procedure.DecideActivatedByAdministrator(d, procedure.ServiceApproval, &releasev1.ProcedureActivated{Version: "1.0", Digest: "sha256:1", Reason: "go-live"}, now))
	write(procedure.DecideProposed(d, board("otto"), &releasev1.ProcedureProposal{
		Version: "1.1", Digest: "sha256:2", Reason: "a third data center", Expires: timestamppb.New(now.AddDate(0, 0, 1)),
		Quorum: &releasev1.QuorumRule{Group: "board", Count: 1},
	}, now))
	write(procedure.DecideProposalApproved(d, board("anna"), 1, "sha256:2", "as agreed", 3600e9, now))
	good, err := procedure.DecideProposalActivated(d, board("otto"), 1, "sha256:2", now)
	if err != nil {
		t.Fatal(err)
	}
	forged := proto.CloneOf(good)
	forged.GetProcedureActivated().Standing.Digest = "sha256:3"
	write(forged, nil)

	ask := func(q *recorderv1.ListProcedureChangesRequest) *recorderv1.ListProcedureChangesResponse {
		t.Helper()
		got, err := s.ListProcedureChanges(asReader(t), q)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := ask(&recorderv1.ListProcedureChangesRequest{Procedure: "PROC-DEPLOY-001", MinSequence: s.stream.Last})
	var types []string
	for _, c := range got.GetChanges() {
		types = append(types, procedure.TypeOf(c.GetEvent()))
	}
	if want := "procedure_activated procedure_approved procedure_proposed procedure_activated"; strings.Join(types, " ") != want {
		t.Fatalf("on record is %v, want %s", types, want)
	}
	if r := got.GetChanges()[0].GetRejected(); r != procedure.ErrStanding.Error() {
		t.Errorf("of the forged one it says %q", r)
	}
	approved := got.GetChanges()[1]
	if approved.GetRejected() != "" || approved.GetEvent().GetActor().GetId() != "anna" || len(approved.GetBody()) == 0 {
		t.Errorf("the approval is %v", approved)
	}
	// Page by page it is the same, and every one of a procedure that there is not is none.
	var paged int
	for token, first := "", true; first || token != ""; first = false {
		page := ask(&recorderv1.ListProcedureChangesRequest{PageSize: 3, PageToken: token})
		paged, token = paged+len(page.GetChanges()), page.GetNextPageToken()
	}
	if paged != 4 {
		t.Errorf("page by page there are %d", paged)
	}
	if other := ask(&recorderv1.ListProcedureChangesRequest{Procedure: "PROC-DEPLOY-002"}); len(other.GetChanges()) != 0 {
		t.Errorf("of another procedure: %v", other)
	}
	if _, err := s.ListProcedureChanges(asReader(t), &recorderv1.ListProcedureChangesRequest{PageToken: "x"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page token of nobody: %v", err)
	}
	if _, err := s.ListProcedureChanges(t.Context(), &recorderv1.ListProcedureChangesRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
}
