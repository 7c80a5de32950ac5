package e2e

import (
	"context"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Services that go and come back in the middle of releases: each release ends as if
// nothing had been, and every target saw every version once.
func TestServicesComeAndGo(t *testing.T) {
	t.Parallel()
	for name, launch := range launchers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := open(t, plan{launch: launch})
			y.tell("each is restarted while it is needed", (*yard).restarts)
			y.tell("each is away when it is needed", (*yard).absences)
			y.tell("everything is restarted while people are waited for", (*yard).night)
			y.tell("the record is rebuilt to the same bytes", (*yard).rebuild)
		})
	}
}

// stop stops a service.
func (y *yard) stop(name string) {
	y.Helper()
	if err := y.StopService(name); err != nil {
		y.Fatalf("%s ended: %v", name, err)
	}
}

// back starts a service again.
func (y *yard) back(name string) {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	y.StartService(ctx, name)
	if err := y.WaitReady(ctx, name); err != nil {
		y.Fatal(err)
	}
}

func (y *yard) again(name string) {
	y.Helper()
	y.stop(name)
	y.back(name)
}

func (y *yard) restarts() {
	a := y.build("1.0.0", 0)
	id := y.submit(a, "restarts", nil)
	y.again(procedure.ServiceValidator) // step 2
	y.reach(id, "approve")
	y.again(procedure.ServiceApproval)
	y.approve(id, "carol")
	y.again(procedure.ServiceRecorder)
	y.approve(id, "dave")
	y.again(procedure.ServiceExecutor) // step 5
	y.reach(id, "verify")
	y.again(procedure.ServiceValidator) // step 6
	y.again(procedure.ServiceRecorder)
	r := y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	if n := r.GetRejectedEvents(); n != 0 {
		y.Errorf("%d events do not count", n)
	}
	y.reach(id, "closed")
	y.run(a)
	y.changed(1, 1)
}

func (y *yard) absences() {
	a := y.build("1.1.0", 0)
	y.stop(procedure.ServiceValidator)
	id := y.submit(a, "absences", nil)
	y.reach(id, "scope")
	y.back(procedure.ServiceValidator)
	y.reach(id, "approve")
	y.approve(id, "carol")
	y.stop(procedure.ServiceExecutor)
	y.approve(id, "dave")
	y.reach(id, "execute")
	y.changed(1, 1)
	y.stop(procedure.ServiceRecorder)
	y.back(procedure.ServiceExecutor)
	y.eventually("the first target is changed", func() bool { return effects(y.T, y.world.Folder(y.world.Targets[0])) == 2 })
	y.stop(procedure.ServiceApproval)
	y.back(procedure.ServiceRecorder)
	// It goes on without the approval service as far as that is not needed.
	y.until(id, "the second wave's end", func(r *recorderv1.Release) bool { return r.GetOutcome() != 0 })
	y.back(procedure.ServiceApproval)
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.reach(id, "closed")
	y.run(a)
	y.changed(2, 2)
}

// night restarts the bus and the database too.
func (y *yard) night() {
	a := y.build("1.2.0", 0)
	id := y.submit(a, "night", nil)
	y.approve(id, "carol")
	y.Stop()
	y.start()
	y.approve(id, "dave")
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.reach(id, "closed")
	y.run(a)
	y.changed(3, 3)
}
