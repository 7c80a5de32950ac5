package execute_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/driver/host"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAKilledExecutorOfAFencedTarget kills a real process between claim and effect, in
// the effect, and between effect and outcome. Whoever gets the message next brings it
// to its end, and the target sees one effect.
func TestAKilledExecutorOfAFencedTarget(t *testing.T) {
	for _, test := range []struct {
		name   string
		target sitetest.Target
		point  string
	}{
		{"between claim and effect", sitetest.Noop("eu1"), sitetest.Before},
		{"in the effect, before it counts", sitetest.Noop("eu1"), noop.PointAdmitted},
		{"in the effect, after it counts", sitetest.Noop("eu1"), noop.PointCounted},
		{"between effect and outcome", sitetest.Noop("eu1"), sitetest.After},
		{"of a host, after the switch", sitetest.Host("eu1"), host.PointSwitched},
		{"of a host, between effect and outcome", sitetest.Host("eu1"), sitetest.After},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, test.target)
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			w.Die(t, test.point)
			if s := r.State(t); s.Phase != procedure.PhaseExecuting || s.Attempt != 1 {
				t.Fatalf("the dead executor left phase %s, attempt %d", s.Phase, s.Attempt)
			}
			w.Run(t, "heir", execute.New)
			s := r.Reaches(t, procedure.PhaseVerify)
			if s.Attempt != 2 || s.Result("eu1").GetDigest() != sitetest.DigestOf(2) {
				t.Errorf("attempt %d, result %v", s.Attempt, s.Result("eu1"))
			}
			if n := len(w.Effects(t, "eu1", r.ID)); n != 1 || w.Running(t, "eu1") != 2 {
				t.Errorf("%d effects, version %d", n, w.Running(t, "eu1"))
			}
		})
	}
}

// TestAKilledExecutorOfAnOpaqueTarget kills a process at each place of a command's run.
// Nobody can tell, nobody tries, and a person is asked.
func TestAKilledExecutorOfAnOpaqueTarget(t *testing.T) {
	for _, test := range []struct {
		name, point string
		ran         int
	}{
		{"between claim and effect", sitetest.Before, 0},
		{"before the command", command.PointStarted, 0},
		{"after the command", command.PointRan, 1},
		{"between effect and outcome", sitetest.After, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, sitetest.Command("eu1"))
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			w.Die(t, test.point)
			w.Run(t, "heir", execute.New)
			s := r.Reaches(t, procedure.PhaseEscalated)
			if s.Attempt != 1 || r.Story(t) != "execution_claimed execution_unknown" {
				t.Errorf("attempt %d: %s", s.Attempt, r.Story(t))
			}
			if starts := w.Starts(t, "eu1"); len(starts) != test.ran {
				t.Errorf("the command ran %d times", len(starts))
			}
		})
	}
}
