package executor_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/executor"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAnApprovalThatWasTakenBackStartsNothingOnAnOldCopyOfTheBus: by the copy it counts, on a
// target that nobody has touched since. A person who has decided that the copy counts has the
// executor go on.
func TestAnApprovalThatWasTakenBackStartsNothingOnAnOldCopyOfTheBus(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		path := written(t, w, "state_folder: "+filepath.Join(t.TempDir(), "state")+"\n")
		r := w.Release(t)
		r.To(t, procedure.PhaseExecute)
		old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
		person := r.State(t).Approvals[0].Person
		r.Do(t, person, proceduretest.WithdrawApproval())
		if status := compare(t, path); status != service.ExitOK {
			t.Fatalf("nothing was seen yet: exit status %d", status)
		}
		run(t, path, func() { // It sees that, has nothing to start, and ends.
			natstest.Eventually(t, "what was seen, on disk", func() bool {
				var out bytes.Buffer
				executor.Witness(t.Context(), []string{"-config", path}, &out, &out)
				return !strings.Contains(out.String(), "seen: nothing")
			})
		})
		old.PutBack(t, n)
		if status := compare(t, path); status != service.ExitFailure {
			t.Errorf("on the old copy: exit status %d", status)
		}
		putOff := putsOff(t, n, procedure.StepExecute)
		run(t, path, func() {
			natstest.Eventually(t, "the order to execute, which is put off and comes again", func() bool {
				return putOff.Load() > 1 || folded(t, w, r.ID).Started()
			})
			if s := folded(t, w, r.ID); s.Started() || s.Phase != procedure.PhaseExecute {
				t.Fatalf("it is in phase %s", s.Phase)
			}
			var out bytes.Buffer
			if status := executor.Witness(t.Context(), []string{"-config", path, "-replace"}, &out, &out); status != service.ExitOK {
				t.Fatalf("replaced: exit status %d: %s", status, &out)
			}
			natstest.Eventually(t, "the start, after a person said so", func() bool { s := folded(t, w, r.ID); return s.Started() })
		})
	})
}

// putsOff counts how often a step puts off a message, by what it answers the server. A
// cluster whose stream was put back cannot be asked: a server that has not made the consumer
// yet answers with one that has delivered nothing, for as long as it has not.
func putsOff(t *testing.T, n natstest.Server, step procedure.StepID) *atomic.Int32 {
	t.Helper()
	count := new(atomic.Int32)
	conn := n.Connect(t)
	if _, err := conn.Subscribe("$JS.ACK."+eventstore.StreamEvents+"."+string(step)+".>", func(m *nats.Msg) {
		if bytes.HasPrefix(m.Data, []byte("-NAK")) {
			count.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return count
}

// folded is a release by what the stream has, and not by what was known before.
func folded(t *testing.T, w *sitetest.World, release string) procedure.State {
	t.Helper()
	h, err := eventstoretest.Store(w, procedure.ServiceApproval).Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		return procedure.State{}
	}
	s, _ := procedure.Fold(release, h.Entries)
	return s
}

func compare(t *testing.T, path string) int {
	t.Helper()
	var out bytes.Buffer
	status := executor.Witness(t.Context(), []string{"-config", path}, &out, &out)
	t.Log(out.String())
	return status
}

// run runs the service while something is done.
func run(t *testing.T, path string, while func()) {
	t.Helper()
	cfg, err := executor.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- executor.Run(ctx, cfg) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}()
	while()
}

func TestTheWitnessIsAskedForByItsConfiguration(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	for _, test := range []struct {
		name string
		args []string
		want int
		say  string
	}{
		{"no configuration", nil, service.ExitUsage, "-config"},
		{"one that is not there", []string{"-config", "none.yaml"}, service.ExitUsage, "none.yaml"},
		{"too much", []string{"-config", "a", "b"}, service.ExitUsage, "-config"},
		{"help", []string{"-h"}, service.ExitOK, "-replace"},
		{"no folder", []string{"-config", written(t, w, "")}, service.ExitFailure, "state_folder"},
	} {
		var out bytes.Buffer
		if got := executor.Witness(t.Context(), test.args, &out, &out); got != test.want || !strings.Contains(out.String(), test.say) {
			t.Errorf("%s: exit status %d, %q", test.name, got, &out)
		}
	}
}
