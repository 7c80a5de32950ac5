package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/reconcile"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m, execute.New) }

// looker is one executor's reconciler.
type looker struct {
	*reconcile.Reconciler
	executor *sitetest.Executor
	registry *prometheus.Registry
}

func looks(t *testing.T, w *sitetest.World, name string, at func(string)) looker {
	t.Helper()
	l := looker{executor: w.Executor(t, name, at), registry: prometheus.NewRegistry()}
	l.Reconciler = reconcile.New(l.executor.Site, w.Store(procedure.ServiceExecutor), 0, l.registry, time.Now)
	return l
}

func (l looker) finds(t *testing.T, target string, want reconcile.Finding) {
	t.Helper()
	if got, err := l.Look(t.Context(), target); got != want || (err != nil) != (want == reconcile.Failed) {
		t.Errorf("target %s: found %s, %v; want %s", target, got, err, want)
	}
}

func (l looker) metric(t *testing.T, name string, want string) {
	t.Helper()
	if err := testutil.GatherAndCompare(l.registry, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}

// done brings a release of version 2 to its very end.
func done(t *testing.T, w *sitetest.World) *sitetest.Release {
	t.Helper()
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "forth", nil)
	e.Start(t, execute.New, release.New)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	r.Reaches(t, procedure.PhaseRecord)
	e.Stop()
	r.Do(t, "", proceduretest.Recorded(r.State(t)))
	for r.State(t).Phase != procedure.PhaseClosed {
		r.Do(t, "", proceduretest.Notify(r.State(t)))
	}
	return r
}

// current points the application of a host at another version, as somebody on it would.
func current(t *testing.T, w *sitetest.World, target string, version int) {
	t.Helper()
	folder := ""
	for _, d := range w.Targets {
		if d.GetTarget() == target {
			folder = d.GetHost().GetFolder()
		}
	}
	link := filepath.Join(folder, "current")
	to := filepath.Join("releases", strings.TrimPrefix(sitetest.DigestOf(version), "sha256:"))
	if err := errors.Join(os.Remove(link), os.Symlink(to, link)); err != nil {
		t.Fatal(err)
	}
}

// TestAChangeByHandIsFoundAndPutOnRecord of a release that was closed, on one node and three
// (N-08): once, however many executors look, and again when it is undone.
func TestAChangeByHandIsFoundAndPutOnRecord(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Host("eu1"))
		w.Carries(t, "eu1", 1)
		r := done(t, w)
		one, other := looks(t, w, "one", nil), looks(t, w, "other", nil)
		one.finds(t, "eu1", reconcile.Same)
		one.metric(t, "shipwarden_target_changed", `
			# HELP shipwarden_target_changed 1 while a target carries what no release has left there.
			# TYPE shipwarden_target_changed gauge
			shipwarden_target_changed{target="eu1"} 0
		`)
		before := len(r.History(t).Entries)

		current(t, w, "eu1", 1)
		for range 2 {
			one.finds(t, "eu1", reconcile.Changed)
			other.finds(t, "eu1", reconcile.Changed)
		}
		if n := len(r.History(t).Entries) - before; n != 1 {
			t.Fatalf("%d events of one change", n)
		}
		u := r.Find(t, "unrecorded_change").GetUnrecordedChange()
		if u.GetTarget() != "eu1" || u.GetExpected() != sitetest.DigestOf(2) || u.GetFound() != sitetest.DigestOf(1) {
			t.Errorf("on record is %v", u)
		}
		s := r.State(t)
		if calls := procedure.DueCalls(s); len(calls) != 1 || calls[0].Cause != releasev1.Cause_CAUSE_UNRECORDED_CHANGE || s.Phase != procedure.PhaseFollowUp {
			t.Errorf("calls %v in phase %s", calls, s.Phase)
		}
		for _, l := range []looker{one, other} {
			l.metric(t, "shipwarden_target_changed", `
				# HELP shipwarden_target_changed 1 while a target carries what no release has left there.
				# TYPE shipwarden_target_changed gauge
				shipwarden_target_changed{target="eu1"} 1
			`)
		}

		current(t, w, "eu1", 2)
		one.finds(t, "eu1", reconcile.Same)
		other.finds(t, "eu1", reconcile.Same)
		if n := len(r.History(t).Entries) - before; n != 2 || len(r.State(t).Drifts) != 0 {
			t.Errorf("%d events, %v is still changed", n, r.State(t).Drifts)
		}
	})
}

// TestATargetThatIsInHandIsLeftAlone: while a release holds it, and where one took it while the
// driver was asked.
func TestATargetThatIsInHandIsLeftAlone(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	r := done(t, w)
	current(t, w, "eu1", 1)
	next := w.Release(t, sitetest.Version(3), proceduretest.Key("next"))
	next.To(t, procedure.PhaseExecute)
	took := looks(t, w, "took", func(point string) {
		if point == sitetest.Looking {
			w.Lock(t, "eu1", next.ID, "executor")
		}
	})
	took.finds(t, "eu1", reconcile.Busy)
	if s := r.State(t); len(s.Drifts) != 0 {
		t.Errorf("on record is %v", s.Drifts)
	}
	// That lock came with no claim and counts for nothing: nobody holds the target.
	free := looks(t, w, "free", nil)
	free.finds(t, "eu1", reconcile.Changed)
	free.finds(t, "eu1", reconcile.Changed)
}

// TestWhatNobodyKnowsIsNoChange: nothing was released there, the driver cannot tell, or the
// record is not the one that was seen; and one that does not answer is unseen in the end.
func TestWhatNobodyKnowsIsNoChange(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"), sitetest.Host("eu2"))
	l := looks(t, w, "one", nil)
	l.finds(t, "eu1", reconcile.Nothing)

	w.Carries(t, "eu1", 1)
	r := done(t, w)
	current(t, w, "eu1", 1)
	stopped := errors.New("the record is an old one")
	l.executor.Seen = func(ctx context.Context) error { return stopped }
	for range 3 {
		if got, err := l.Look(t.Context(), "eu1"); got != reconcile.Failed || !errors.Is(err, stopped) {
			t.Errorf("on an old record: %s, %v", got, err)
		}
	}
	l.metric(t, "shipwarden_target_unseen", `
		# HELP shipwarden_target_unseen 1 while the last three looks at a target for what was changed without a release failed.
		# TYPE shipwarden_target_unseen gauge
		shipwarden_target_unseen{target="eu1"} 1
		shipwarden_target_unseen{target="eu2"} 0
	`)
	if s := r.State(t); len(s.Drifts) != 0 {
		t.Errorf("on record is %v", s.Drifts)
	}
	l.executor.Seen = nil
	l.finds(t, "eu1", reconcile.Changed)
	l.finds(t, "eu2", reconcile.Nothing)
	if s := r.State(t); len(s.Drifts) != 1 || s.Drifts[0].Target != "eu1" {
		t.Errorf("on record is %v", s.Drifts)
	}

	now := w.Standing(t, "eu1")
	unknown := proto.CloneOf(now.State)
	unknown.UnknownSince = r.ID
	w.Unlock(t, "eu1", r.ID, unknown)
	l.finds(t, "eu1", reconcile.Nothing)
}

// asked is a driver that says when it is asked what was changed, and answers when it may.
type asked struct {
	driver.Driver
	left   chan time.Duration
	answer chan struct{}
}

func (a asked) Inspect(ctx context.Context) ([]string, error) {
	deadline, _ := ctx.Deadline()
	select {
	case a.left <- time.Until(deadline):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-a.answer:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// patient is one of which a look may take an hour.
type patient struct{ asked }

func (patient) Patience() time.Duration { return time.Hour }

// TestATargetThatIsSlowToLookAtKeepsNoOtherWaiting, however many there are, and has the time that
// its driver asks for.
func TestATargetThatIsSlowToLookAtKeepsNoOtherWaiting(t *testing.T) {
	slow := []string{"eu1", "eu2", "eu3", "eu4", "eu5"}
	targets := []sitetest.Target{sitetest.Host("us1")}
	for _, id := range slow {
		targets = append(targets, sitetest.Host(id))
	}
	w := sitetest.New(t, targets...)
	e := w.Executor(t, "one", nil)
	w.Carries(t, "us1", 1)
	quick := asked{e.Drivers["us1"], make(chan time.Duration), make(chan struct{})}
	e.Drivers["us1"] = quick
	waits := make(chan time.Duration, len(slow))
	for _, id := range slow {
		w.Carries(t, id, 1)
		e.Drivers[id] = patient{asked{e.Drivers[id], waits, make(chan struct{})}}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- reconcile.New(e.Site, w.Store(procedure.ServiceExecutor), time.Millisecond, nil, time.Now).Run(ctx)
	}()
	// As many of them as are looked at side by side are on their way, and never answer.
	for range 4 {
		if left := <-waits; left < 59*time.Minute {
			t.Errorf("a slow one has %s", left)
		}
	}
	for range 3 {
		if left := <-quick.left; left > time.Minute {
			t.Errorf("a quick one has %s", left)
		}
		quick.answer <- struct{}{}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// marked is a driver of a target that remembers so far, or less than it is asked for. It keeps what
// it was to place.
type marked struct {
	driver.Driver
	mark   string
	less   *bool
	placed *driver.Plan
}

func (m marked) Mark(context.Context) (string, error) { return m.mark, nil }

func (m marked) Remembers(_ context.Context, mark string) error {
	if *m.less || mark != m.mark {
		return fmt.Errorf("it knows %s no more: %w", mark, driver.ErrConflict)
	}
	return nil
}

func (m marked) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	*m.placed = plan
	return m.Driver.Apply(ctx, key, f, plan)
}

// TestATargetThatWasSetBackIsFoundByWhoWasNotThere (N-08): how far it remembers stands in the
// record from the release that let it go, and every executor that comes later holds it to that,
// when it looks and when it places the next one.
func TestATargetThatWasSetBackIsFoundByWhoWasNotThere(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	before := w.Standing(t, "eu1")
	w.Unlock(t, "eu1", before.State.GetDeployed().GetRelease(), standing.Marked(before.State, "commit one"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "forth", nil)
	less, placed := false, driver.Plan{}
	e.Drivers["eu1"] = marked{e.Drivers["eu1"], "commit two", &less, &placed}
	e.Start(t, execute.New, release.New)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	r.Reaches(t, procedure.PhaseRecord)
	e.Stop()
	if placed.Mark != "commit one" {
		t.Errorf("the release was to hold the target to %q", placed.Mark)
	}
	if mark := w.Standing(t, "eu1").State.GetMark(); mark != "commit two" {
		t.Errorf("on record is %q", mark)
	}
	r.Do(t, "", proceduretest.Recorded(r.State(t)))

	other := looks(t, w, "other", nil)
	other.executor.Drivers["eu1"] = marked{other.executor.Drivers["eu1"], "commit two", &less, &placed}
	other.finds(t, "eu1", reconcile.Same)
	less = true
	other.finds(t, "eu1", reconcile.Changed)
	u := r.Find(t, "unrecorded_change").GetUnrecordedChange()
	if u.GetFound() != u.GetExpected() || len(u.GetDifferences()) != 1 || !strings.HasPrefix(u.GetDifferences()[0], "it knows commit two no more") {
		t.Errorf("on record is %v", u)
	}
}
