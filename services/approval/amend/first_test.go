package amend_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// meeting is a store whose reader waits, once it has seen which procedures there are, until
// the others have as well.
type meeting struct {
	*eventstore.Store
	once sync.Once
	all  *sync.WaitGroup
}

func (m *meeting) Procedures(ctx context.Context) ([]string, error) {
	ids, err := m.Store.Procedures(ctx)
	m.once.Do(m.all.Done)
	m.all.Wait()
	return ids, err
}

// TestOfTwoFirstDocumentsOneTakesEffect: two services begin at once on an empty stream, each
// with a document of another id. Both look, and neither finds the other's.
func TestOfTwoFirstDocumentsOneTakesEffect(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	var all sync.WaitGroup
	ids := []string{"PROC-ONE-1", "PROC-TWO-2"}
	all.Add(len(ids))
	type end struct {
		id      string
		changed bool
		err     error
	}
	ends := make(chan end, len(ids))
	activate := func(store amend.Store, id string, how amend.Administrative) end {
		d := approvaltest.Document(func(d *policyv1.Procedure) { d.Id = id })
		data, err := protojson.Marshal(d)
		if err != nil {
			return end{id, false, err}
		}
		kept := evidence.New(n.JetStream())
		_, changed, err := amend.Activate(t.Context(), amend.Config{
			Store: store, Evidence: kept, Procedures: policy.NewSource(kept.Get), ProcedureID: id, Now: time.Now,
		}, amend.Document{Procedure: d, Bytes: data}, how)
		return end{id, changed, err}
	}
	for _, id := range ids {
		go func() {
			ends <- activate(&meeting{Store: eventstoretest.Store(n, procedure.ServiceApproval), all: &all}, id, amend.Administrative{Reason: "go-live"})
		}()
	}
	won, lost := <-ends, <-ends
	if won.err != nil {
		won, lost = lost, won
	}
	if won.err != nil || !won.changed || !errors.Is(lost.err, amend.ErrInEffect) || lost.changed {
		t.Fatalf("%+v, %+v", won, lost)
	}
	store := eventstoretest.Store(n, procedure.ServiceApproval)
	if got, err := store.Procedures(t.Context()); err != nil || !slices.Equal(got, []string{subject(won.id)}) {
		t.Errorf("in effect are documents of %v, %v", got, err)
	}
	// An administrator may put the other one beside it, and then both are on the list.
	if e := activate(store, lost.id, amend.Administrative{Reason: "a second procedure", ClaimedBy: "dave", Override: true}); e.err != nil || !e.changed {
		t.Errorf("%+v", e)
	}
	begun, err := standing.ReadBegun(t.Context(), store)
	if want := []string{subject(ids[0]), subject(ids[1])}; err != nil || !slices.Equal(begun.All, want) {
		t.Errorf("%v, %v", begun.All, err)
	}
}

// subject is an id as it stands in subjects.
func subject(id string) string {
	return procedure.ProcedureAggregate(id)[len(procedure.ProcedureAggregate("")):]
}
