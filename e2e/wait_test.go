package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// receiver is the end of a webhook that can be down. It counts notices of a start
// that it took, by their release, and those that it did not take.
type receiver struct {
	*httptest.Server
	down   atomic.Bool
	missed atomic.Int32
	taken  atomic.Int32
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if r.down.Load() {
			r.missed.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.taken.Add(1)
	}))
	t.Cleanup(r.Close)
	return r
}

// lead makes the channel "operations" lead to the receiver.
func (r *receiver) lead(_ *shop.World, cfg *rig.Config) error {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(cfg.Dir, "operations.url")
	cfg.Channels = append(cfg.Channels, &configv1.ChannelAddress{
		Channel: "operations", Kind: configv1.ChannelAddress_KIND_WEBHOOK, UrlFile: file,
	})
	return os.WriteFile(file, []byte(r.URL+"/hook"), 0o600)
}

// Releases that wait: for people to be told, for a freeze to end.
func TestReleasesWait(t *testing.T) {
	t.Parallel()
	operations := receive(t)
	// Every change of the document is compared with what was released: by the approval service,
	// with the rights that it has on the bus.
	y := open(t, plan{rules: func(r *shop.Rules) { r.Notice, r.CompareLast = true, 20 }, config: operations.lead})
	y.tell("a required channel that is down holds the start", func(y *yard) { y.untold(operations) })
	y.tell("a freeze holds and lets go by itself", (*yard).frozen)
	y.tell("a freeze that is declared after the approvals holds the start", (*yard).frozenLate)
	y.tell("the record is rebuilt to the same bytes", (*yard).rebuild)
}

func (y *yard) untold(operations *receiver) {
	operations.down.Store(true)
	id := y.submit(y.build("1.0.0", 0), "untold", nil)
	y.approve(id, "carol", "dave")
	y.reach(id, "notify")
	y.eventually("the channel is tried", func() bool { return operations.missed.Load() > 0 })
	for _, target := range y.world.Targets {
		y.untouched(target)
	}
	if n := y.history(id); n["execution_claimed"]+n["notified"] != 0 {
		y.Errorf("it went on although nobody was told: %v", n)
	}
	operations.down.Store(false)
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.reach(id, "closed")
	// One of the start, one of the end.
	if n := operations.taken.Load(); n != 2 {
		y.Errorf("operations heard %d notices", n)
	}
	y.changed(1, 1)
}

// campaign is how long a freeze lasts: long enough that on a busy machine a release
// comes to where it is held before the end.
const campaign = 20 * time.Second

// freeze declares a freeze of production that ends soon, and returns when.
func (y *yard) freeze(version string) time.Time {
	y.Helper()
	now := time.Now()
	y.world.Rules.Version = version
	// The document knows milliseconds.
	y.world.Rules.FreezeStart, y.world.Rules.FreezeEnd = now.Add(-time.Minute).UTC(), now.Add(campaign).UTC().Truncate(time.Millisecond)
	document, err := y.world.Procedure()
	if err != nil {
		y.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	if err := y.ChangeProcedure(ctx, document); err != nil {
		y.Fatal(err)
	}
	return y.world.Rules.FreezeEnd
}

func (y *yard) frozen() {
	version := y.build("1.1.0", 0)
	end := y.freeze("1.1")
	id := y.submit(version, "frozen", nil)
	if why := y.held(id, "freeze"); !why.GetUntil().AsTime().Equal(end) || why.GetSetBy() != "carol" {
		y.Errorf("it is held by %v, not until %s", why, end)
	}
	y.reach(id, "approve")
	if early := time.Until(end); early > 0 {
		y.Errorf("it went on %s before the end of the freeze", early)
	}
	y.approve(id, "carol", "dave")
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.changed(2, 2)
	// The release before was looked at, before anybody approved the change.
	if c := y.compared(); c.GetLast() != 20 || c.GetReleases() != 1 || c.GetUnknown() != 0 || c.GetDigest() == "" {
		y.Errorf("the change was compared so: %v", c)
	}
}

// compared is the comparison of the newest document that was proposed, by the record.
func (y *yard) compared() *releasev1.ProcedureComparison {
	y.Helper()
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	answer, err := recorder.ListProcedureChanges(y.Context(), &recorderv1.ListProcedureChangesRequest{PageSize: 100})
	if err != nil {
		y.Fatal(err)
	}
	for _, c := range answer.GetChanges() { // newest first
		if p := c.GetEvent().GetProcedureProposed().GetProposal(); p != nil {
			return p.GetComparison()
		}
	}
	return nil
}

func (y *yard) frozenLate() {
	id := y.submit(y.build("1.2.0", 0), "frozen-late", nil)
	y.approve(id, "carol")
	end := y.freeze("1.2")
	y.approve(id, "dave")
	y.held(id, "freeze")
	y.changed(2, 2)
	r := y.until(id, "the start", func(r *recorderv1.Release) bool { return r.GetPhase() == "verify" })
	if early := time.Until(end); early > 0 {
		y.Errorf("it started %s before the end of the freeze: %s", early, describe(r))
	}
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.changed(3, 3)
}

// Releases that meet on a target. None of them looks again by itself before the test ends: who
// waits goes on because it is woken.
func TestReleasesMeet(t *testing.T) {
	t.Parallel()
	y := open(t, plan{rules: func(r *shop.Rules) { r.Supersede, r.Recheck = false, time.Hour }})
	y.tell("the second waits until the first is over, and is woken and looked at again", (*yard).second)
	y.tell("of two that were approved, the second is not what was approved any more", (*yard).overtaken)
	y.tell("the record is rebuilt to the same bytes", (*yard).rebuild)
}

func (y *yard) second() {
	later := y.build("1.1.0", 0)
	first := y.submit(y.build("1.0.0", 0), "first", baking(6*time.Second))
	y.approve(first, "carol", "dave")
	y.reach(first, "verify")
	second := y.submit(later, "second", nil)
	if why := y.held(second, "target.busy"); why.GetSubject() != first {
		y.Errorf("it waits for %v, not for %s", why, first)
	}
	y.finish(first, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.approve(second, "carol", "dave")
	y.finish(second, releasev1.Outcome_OUTCOME_SUCCEEDED)
	if n := y.history(second); n["scope_validated"] < 2 || n["target_freed"] != 1 {
		y.Errorf("the targets of the second release were looked at %d times, and it was woken %d times", n["scope_validated"], n["target_freed"])
	}
	for _, target := range y.world.Targets {
		y.runs(target, later.Digest)
	}
	y.changed(2, 2)
}

func (y *yard) overtaken() {
	first := y.submit(y.build("1.2.0", 0), "third", baking(6*time.Second))
	second := y.submit(y.build("1.3.0", 0), "fourth", nil)
	y.reach(second, "approve")
	y.approve(first, "carol", "dave")
	y.reach(first, "verify")
	y.approve(second, "carol", "dave")
	y.held(second, "target.busy")
	y.finish(first, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.says(y.finish(second, releasev1.Outcome_OUTCOME_REJECTED), "target.changed")
	if n := y.history(second)["target_freed"]; n != 1 {
		y.Errorf("the second release was woken %d times", n)
	}
	y.changed(3, 3)
}
