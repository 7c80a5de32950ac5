package standing_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.Leftovers()...) }

type stores struct{ approval, executor *eventstore.Store }

func provisioned(t *testing.T, n natstest.Server) stores {
	t.Helper()
	eventstoretest.Provision(t, n)
	return stores{eventstoretest.Store(n, procedure.ServiceApproval), eventstoretest.Store(n, procedure.ServiceExecutor)}
}

func put(t *testing.T, s *eventstore.Store, d eventstore.Draft) {
	t.Helper()
	if _, err := s.Append(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestATargetIsWhatItsNewestEventSays(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := provisioned(t, n)
		read := func() standing.Target {
			t.Helper()
			target, err := standing.ReadTarget(t.Context(), s.executor, "eu1")
			if err != nil {
				t.Fatal(err)
			}
			return target
		}
		first := read()
		if first.LockedBy != "" || first.State == nil || first.Expect != 0 || first.Previous != nil {
			t.Fatalf("before anything: %+v", first)
		}
		until := time.Now().Add(time.Minute).UTC()
		put(t, s.executor, first.Draft(&releasev1.Event{Data: &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{
			Release: "shop-a", Claimer: "executor-1", LeaseUntil: timestamppb.New(until), State: first.State,
		}}}))
		locked := read()
		if locked.LockedBy != "shop-a" || locked.Claimer != "executor-1" || !locked.LeaseUntil.Equal(until) || locked.Fence == 0 || locked.Fence != locked.Expect {
			t.Fatalf("locked: %+v", locked)
		}
		put(t, s.executor, locked.Draft(&releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
			Release: "shop-a", State: standing.Carrying(locked.State, &releasev1.Deployment{Release: "shop-a", Version: "1.0.0"}),
		}}}))
		free := read()
		if free.LockedBy != "" || free.State.GetDeployed().GetRelease() != "shop-a" || free.State.GetGeneration() != 1 || free.Expect <= locked.Expect {
			t.Errorf("free again: %+v", free)
		}
		_, err := s.executor.Append(t.Context(), locked.Draft(&releasev1.Event{Data: &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{Release: "shop-b"}}}))
		if err == nil {
			t.Error("a lock that follows an old event was stored")
		}
	})
}

func TestWhatATargetCarriesAfterwards(t *testing.T) {
	one, two := &releasev1.Deployment{Release: "shop-1"}, &releasev1.Deployment{Release: "shop-2"}
	before := standing.Carrying(&releasev1.TargetState{}, one)
	after := standing.Carrying(before, two)
	if after.GetDeployed() != two || after.GetPrevious().GetRelease() != "shop-1" || after.GetGeneration() != 2 || before.GetGeneration() != 1 {
		t.Errorf("carrying: %v, before %v", after, before)
	}
	state := before
	for i := range 20 {
		state = standing.TakenBack(state, &releasev1.Deployment{Release: fmt.Sprintf("shop-back-%d", i)})
	}
	if state.GetDeployed().GetRelease() != "shop-1" || len(state.GetRolledBack()) != 16 || state.GetRolledBack()[0].GetRelease() != "shop-back-19" || state.GetGeneration() != 21 {
		t.Errorf("taken back: %v", state)
	}
	lost := standing.Unknown(before, "shop-lost")
	if lost.GetUnknownSince() != "shop-lost" || lost.GetDeployed().GetRelease() != "shop-1" || lost.GetGeneration() != 2 {
		t.Errorf("unknown: %v", lost)
	}
	if standing.TakenBack(lost, two).GetUnknownSince() == "" || standing.Carrying(lost, two).GetUnknownSince() != "" {
		t.Error("only what is placed is known again")
	}
	if len(before.GetRolledBack()) != 0 || before.GetUnknownSince() != "" {
		t.Error("the state before was changed")
	}
}

func TestAServiceKnowsItsReleasesAndDebts(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := provisioned(t, n)
		service, err := standing.ReadService(t.Context(), s.approval, "production", "shop")
		if err != nil || len(service.Open) != 0 {
			t.Fatal(service, err)
		}
		now := time.Now()
		put(t, s.approval, service.Draft(service.Changed("shop-a", []string{"shop-a"}, []*releasev1.ReviewDebt{
			{Release: "shop-x", BlocksFrom: timestamppb.New(now)}, {Release: "shop-y", BlocksFrom: timestamppb.New(now.Add(1))},
		})))
		service, err = standing.ReadService(t.Context(), s.approval, "production", "shop")
		if err != nil || len(service.Open) != 1 || len(service.Debts) != 2 {
			t.Fatal(service, err)
		}
		if due := service.Overdue(now); len(due) != 1 || due[0].GetRelease() != "shop-x" || len(service.Debts) != 2 {
			t.Errorf("overdue %v", due)
		}
		if other, err := standing.ReadService(t.Context(), s.approval, "staging", "shop"); err != nil || len(other.Open) != 0 {
			t.Errorf("of another environment: %v, %v", other, err)
		}
	})
}

func TestTheProcedureInEffectIsTheNewest(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := provisioned(t, n)
		for _, version := range []string{"1.0", "2.0"} {
			active, err := standing.ReadProcedure(t.Context(), s.approval, "PROC-TEST-001")
			if err != nil {
				t.Fatal(err)
			}
			if version == "1.0" && active.Digest != "" {
				t.Errorf("before anything: %+v", active)
			}
			put(t, s.approval, active.Draft(&releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
				ProcedureActivated: &releasev1.ProcedureActivated{Version: version, Digest: "sha256:" + version},
			}}))
		}
		active, err := standing.ReadProcedure(t.Context(), s.approval, "PROC-TEST-001")
		if err != nil || active.Version != "2.0" || active.Digest != "sha256:2.0" {
			t.Errorf("%+v, %v", active, err)
		}
	})
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	s := provisioned(t, natstest.Single(t))
	if _, err := standing.ReadTarget(t.Context(), s.executor, "eu1.>"); err == nil {
		t.Error("target")
	}
	if _, err := standing.ReadService(t.Context(), s.approval, "*", "shop"); err == nil {
		t.Error("service")
	}
	if _, err := standing.ReadProcedure(t.Context(), s.approval, "A B"); err == nil {
		t.Error("procedure")
	}
}
