package approval

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The sweeper looks after releases by the record: a document that takes effect may have a
// service no more whose releases are still under way.
func TestWhatIsOpenIsKnownWithoutADocument(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	store := eventstoretest.Store(n, procedure.ServiceApproval)
	if got, err := open(t.Context(), store); err != nil || len(got) != 0 {
		t.Errorf("at first %v is open: %v", got, err)
	}
	for service, open := range map[string][]string{"shop": {"shop-1", "shop-2"}, "old--shop": {"old-1"}, "idle": nil} {
		s, err := standing.ReadService(t.Context(), store, "production", service)
		if err != nil {
			t.Fatal(err)
		}
		debts := []*releasev1.ReviewDebt{{Release: service + "-owed", Due: timestamppb.Now()}}
		s = s.Incident(service+"-owed", true).Incident(service+"-by-hand", true)
		if _, err := store.Append(t.Context(), s.Draft(s.Changed("x", open, debts))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t.Context(), store)
	slices.Sort(got)
	if want := []string{"idle-by-hand", "idle-owed", "old--shop-by-hand", "old--shop-owed", "old-1", "shop-1", "shop-2", "shop-by-hand", "shop-owed"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("open is %v, want %v: %v", got, want, err)
	}
}
