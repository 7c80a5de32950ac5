package query_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// Delegations, and which procedures there are, are stored beside procedure documents. In the history of these they would
// be events that nobody can account for: a false alarm in what auditors read.
func TestDelegationsAreNoChangesOfADocument(t *testing.T) {
	s := serve(t)
	const id = "PROC-DEPLOY-001"
	first, err := procedure.DecideActivatedByAdministrator(procedure.NewDocument(id), procedure.ServiceApproval,
		&releasev1.ProcedureActivated{Version: "1.0", Digest: "sha256:1", Reason: "go-live"}, s.stream.Now)
	if err != nil {
		t.Fatal(err)
	}
	changed := &releasev1.Event{
		Actor: &releasev1.Actor{Id: "anna", Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls"},
		Data:  &releasev1.Event_DelegationsChanged{DelegationsChanged: &releasev1.DelegationsChanged{LastNumber: 1}},
	}
	begun := &releasev1.Event{Data: &releasev1.Event_ProcedureBegun{ProcedureBegun: &releasev1.ProcedureBegun{Id: "proc-deploy-001"}}}
	for aggregate, event := range map[string]*releasev1.Event{
		procedure.ProcedureAggregate(id): first, procedure.DelegationsAggregate(id): changed, procedure.ProceduresAggregate(): begun,
	} {
		e := proto.CloneOf(event)
		e.Aggregate, e.ProcedureDigest = aggregate, "sha256:1"
		entry := proceduretest.Entry(procedure.State{}, s.stream.Last+1, s.stream.Now, nil, e)
		recordertest.Write(t, s.ledger, 1, []ledger.Message{recordertest.Message(entry)})
		s.stream.Last++
	}
	got, err := s.ListProcedureChanges(asReader(t), &recorderv1.ListProcedureChangesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if all := got.GetChanges(); len(all) != 1 || all[0].GetEvent().GetProcedureActivated() == nil || all[0].GetRejected() != "" {
		t.Errorf("the history of procedure documents is %v", all)
	}
}
