package execute_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// taken is a target that somebody else changes in the middle of a change.
type taken struct {
	driver.Driver
	theirs driver.ManualChange
}

func (d taken) Apply(context.Context, driver.Key, driver.Fence, driver.Plan) (driver.Result, error) {
	return driver.Result{}, fmt.Errorf("apply to target eu1: %w", &d.theirs)
}

// TestWhatSomebodyChangesInTheMiddleStopsItAndCallsPeople: whose change it is stands in the
// record in fields of its own, and no way back is begun by itself.
func TestWhatSomebodyChangesInTheMiddleStopsItAndCallsPeople(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	e.Drivers["eu1"] = taken{e.Drivers["eu1"], driver.ManualChange{Object: "Deployment shop", Field: ".spec.replicas", Manager: strings.Repeat("k", 5000)}}
	e.Start(t, execute.New, rollback.New)
	s := r.Reaches(t, procedure.PhaseEscalated)
	result := proto.CloneOf(s.Result("eu1").GetManualChange())
	if n := len(result.GetManager()); n != 110 || proto.Size(result)+len(s.Result("eu1").GetMessage()) > 512 {
		t.Errorf("a manager of %d bytes: %v", n, s.Result("eu1"))
	}
	result.Manager = ""
	if !proto.Equal(result, &releasev1.ManualChange{Object: "Deployment shop", Field: ".spec.replicas"}) || s.EscalatedFor != releasev1.Cause_CAUSE_MANUAL_CHANGE {
		t.Errorf("%v; called for %s", result, s.EscalatedFor)
	}
	if !strings.Contains(s.EndReason, "manual change found: Deployment shop, .spec.replicas") {
		t.Errorf("people are told %q", s.EndReason)
	}
	for _, entry := range r.History(t).Entries {
		if entry.Event.GetRollbackClaimed() != nil {
			t.Error("the way back was begun by itself")
		}
	}
}
