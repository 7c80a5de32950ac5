package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// veil stands between the validator and a target, and can keep it from telling what
// it runs: then nobody knows, and that is no pass. Or it can make the target fail.
type veil struct {
	*httptest.Server
	drawn, sick atomic.Bool
}

// over puts a veil over the second target.
func (v *veil) over(_ *shop.World, cfg *rig.Config) error {
	place := cfg.Places[1]
	behind, err := url.Parse(place.GetBaseUrl())
	if err != nil {
		return err
	}
	through := httputil.NewSingleHostReverseProxy(behind)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v.sick.Load() && r.URL.Path != place.GetDigestPath() || v.drawn.Load() && r.URL.Path == place.GetDigestPath() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		through.ServeHTTP(w, r)
	}))
	place.BaseUrl = v.URL
	return nil
}

// The ways out of a release that does not go as planned.
func TestWaysOut(t *testing.T) {
	t.Parallel()
	v := &veil{}
	y := open(t, plan{rules: func(r *shop.Rules) { r.Ask = true }, config: v.over})
	t.Cleanup(v.Close)
	one := y.build("1.0.0", 0)
	y.release(one, "first", nil)
	y.tell("a release is taken back by asking for the version before", func(y *yard) { y.takenBack(one) })
	y.tell("abort during the second wave takes both back", func(y *yard) { y.aborted(one) })
	y.tell("what nobody can tell is tried again by a person", func(y *yard) { y.triedAgain(v) })
	y.tell("what nobody can tell is accepted by a person", func(y *yard) { y.accepted(v) })
	y.tell("a way back that fails is tried again by a person", (*yard).backAtLast)
	y.tell("a way back that fails is given up by a person", (*yard).givenUp)
	y.tell("the record is rebuilt to the same bytes", (*yard).rebuild)
}

// takenBack releases a version, and then asks for the one before.
func (y *yard) takenBack(before shop.Artifact) {
	id := y.release(y.build("1.1.0", 0), "to-be-taken-back", nil)
	back := y.submit(before, "taken-back", func(r *releasev1.Request) {
		r.Trigger, r.RollbackOf = releasev1.Trigger_TRIGGER_ROLLBACK, id
	})
	y.approve(back, "carol", "dave")
	y.finish(back, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.run(before)
	y.changed(3, 3)
}

// aborted stops a release while its second wave is looked at.
func (y *yard) aborted(before shop.Artifact) {
	id := y.submit(y.build("1.2.0", 0), "aborted", baking(8*time.Second))
	y.approve(id, "carol", "dave")
	y.until(id, "the second wave", func(r *recorderv1.Release) bool {
		return r.GetPhase() == "verify" && effects(y.T, y.world.Folder(y.world.Targets[1])) == 4
	})
	if _, err := y.as("dave").Abort(y.Context(), &approvalv1.AbortRequest{Release: id, Reason: "The till is broken."}); err != nil {
		y.Fatal(err)
	}
	r := y.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	y.says(r, "The till is broken.")
	y.run(before)
	y.changed(5, 5)
}

// oneWave makes all targets one wave.
func oneWave(r *releasev1.Request) {
	all := &releasev1.Wave{}
	for _, w := range r.GetPlan().GetWaves() {
		all.Targets = append(all.Targets, w.GetTargets()...)
	}
	r.Plan.Waves = []*releasev1.Wave{all}
}

// escalated waits until a release waits for a person who can do this.
func (y *yard) escalated(id string, cause releasev1.Cause) {
	y.Helper()
	y.until(id, "escalation", func(r *recorderv1.Release) bool {
		return r.GetPhase() == "escalated" && slices.Contains(r.GetOpenEscalations(), cause)
	})
}

func (y *yard) intervene(id string, action releasev1.Intervened_Action) {
	y.Helper()
	_, err := y.as("erin").Intervene(y.Context(), &approvalv1.InterveneRequest{Release: id, Action: action, Reason: "I looked at it."})
	if err != nil {
		y.Fatal(err)
	}
}

// closes has a person end the incident of a release that is over.
func (y *yard) closes(id, person string) {
	y.Helper()
	_, err := y.as(person).CloseIncident(y.Context(), &approvalv1.CloseIncidentRequest{Release: id, Reason: "It is mended."})
	if err != nil {
		y.Fatal(err)
	}
}

func (y *yard) triedAgain(v *veil) {
	v.drawn.Store(true)
	a := y.build("1.3.0", 0)
	id := y.submit(a, "tried-again", oneWave)
	y.approve(id, "carol", "dave")
	y.escalated(id, releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE)
	v.drawn.Store(false)
	y.intervene(id, releasev1.Intervened_ACTION_RETRY)
	// It ended well, and a person was needed for it.
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES)
	y.run(a)
	// What was there already is no effect when it is asked for again.
	y.changed(6, 6)
	y.closes(id, "erin")
	y.reach(id, "closed")
}

func (y *yard) accepted(v *veil) {
	v.drawn.Store(true)
	defer v.drawn.Store(false)
	a := y.build("1.4.0", 0)
	id := y.submit(a, "accepted", oneWave)
	y.approve(id, "carol", "dave")
	y.escalated(id, releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE)
	y.intervene(id, releasev1.Intervened_ACTION_ACCEPT)
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES), "I looked at it.")
	y.run(a)
	y.changed(7, 7)
	y.reach(id, "closed")
}

// cripple takes away the program by which targets restart the shop, and returns what
// gives it back.
func (y *yard) cripple() (mend func()) {
	y.Helper()
	program := y.cfg.Targets[0].GetHost().GetRestart().GetArgv()[0]
	away := filepath.Join(filepath.Dir(program), "away")
	if err := os.Rename(program, away); err != nil {
		y.Fatal(err)
	}
	return func() {
		if err := os.Rename(away, program); err != nil {
			y.Error(err)
		}
	}
}

// stuck releases a version, and the way back fails.
func (y *yard) stuck(a shop.Artifact, key string) (id string, mend func()) {
	y.Helper()
	id = y.submit(a, key, baking(15*time.Second))
	y.approve(id, "carol", "dave")
	y.reach(id, "verify")
	mend = y.cripple()
	if _, err := y.as("erin").Abort(y.Context(), &approvalv1.AbortRequest{Release: id, Reason: "It looks wrong."}); err != nil {
		y.Fatal(err)
	}
	y.escalated(id, releasev1.Cause_CAUSE_ROLLBACK_FAILED)
	return id, mend
}

func (y *yard) backAtLast() {
	id, mend := y.stuck(y.build("1.5.0", 0), "back-at-last")
	mend()
	y.intervene(id, releasev1.Intervened_ACTION_ROLL_BACK)
	y.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	y.run(y.build("1.4.0", 0))
	y.closes(id, "erin")
	y.reach(id, "closed")
}

func (y *yard) givenUp() {
	id, mend := y.stuck(y.build("1.6.0", 0), "given-up")
	defer mend()
	y.intervene(id, releasev1.Intervened_ACTION_ACCEPT)
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED), "I looked at it.")
	y.reach(id, "closed")
}

// run demands that every target runs a version.
func (y *yard) run(a shop.Artifact) {
	y.Helper()
	for _, target := range y.world.Targets {
		y.runs(target, a.Digest)
	}
}
