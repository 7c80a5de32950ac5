package verify_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// looksBeside is a document in which what failed is looked for elsewhere, and goes back at once.
const looksBeside = `remediation:
  - {name: everywhere, then: ACTION_ROLL_BACK, look_beside: true}
`

// TestWhatFailsWhereNothingWasChanged is not taken back: both versions are unhealthy. Where the
// old version is well, or nobody can tell, it is the release. Either way the verdict follows
// again from the samples that are kept, and from no others.
func TestWhatFailsWhereNothingWasChanged(t *testing.T) {
	well := func(*place) {}
	sick := func(p *place) { p.sick["/healthz"] = true }
	for _, test := range []struct {
		name, document string
		// runs is what the targets run that are still to come, and is how they are.
		runs   string
		is     []func(*place)
		looks  bool
		phase  procedure.Phase
		change func(*rig)
	}{
		{"it is not the release", looksBeside, before, []func(*place){sick, sick}, true, procedure.PhaseEscalated, nil},
		{"the old version is well", looksBeside, before, []func(*place){well, well}, true, procedure.PhaseRemedy, nil},
		{"it is well on one of them", looksBeside, before, []func(*place){sick, well}, true, procedure.PhaseRemedy, nil},
		{"they run something else", looksBeside, proceduretest.Digest('c'), []func(*place){sick, sick}, false, procedure.PhaseRemedy, nil},
		{"nobody can look at them", looksBeside, before, nil, false, procedure.PhaseRemedy, nil},
		{"the samples cannot be kept", looksBeside, before, []func(*place){sick, sick}, false, procedure.PhaseRemedy, func(r *rig) { eventstoretest.Full(t, r) }},
		{"the document does not ask for it", "", before, []func(*place){sick, sick}, false, procedure.PhaseRemedy, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := newPlace(t, released)
			sick(first)
			places := map[string]*place{"eu1": first}
			for i, is := range test.is {
				id := []string{"us1", "us2"}[i]
				places[id] = newPlace(t, test.runs)
				is(places[id])
			}
			r := newRig(t, test.document, places, bake(time.Second, 500*time.Millisecond), proceduretest.Waves([]string{"eu1"}, []string{"us1", "us2"}))
			r.to(t, procedure.PhaseVerify)
			if test.change != nil {
				test.change(r)
			}
			state := r.state(t)
			e, err := r.turn(t)
			if err != nil || e.GetVerificationFailed() == nil {
				t.Fatalf("%v, %v", e, err)
			}
			v := verification(e)
			if s := r.state(t); s.Phase != test.phase || (v.GetBeside() != nil) != test.looks {
				t.Fatalf("in phase %s: %v", s.Phase, v.GetBeside())
			}
			if s := r.state(t); s.Phase == procedure.PhaseEscalated && s.EscalatedFor != releasev1.Cause_CAUSE_BOTH_UNHEALTHY {
				t.Errorf("people are called for %s", s.EscalatedFor)
			}
			if want := test.document != ""; (e.GetVerificationFailed().GetRemedy() != nil) != want {
				t.Errorf("remedy %v", e.GetVerificationFailed().GetRemedy())
			}
			if !test.looks {
				return
			}
			blobs := evidence.New(r.JetStream())
			samples, err1 := blobs.Get(t.Context(), v.GetSamples().GetDigest())
			beside, err2 := blobs.Get(t.Context(), v.GetBeside().GetSamples().GetDigest())
			index, err3 := policy.NewSource(blobs.Get).ByDigest(t.Context(), r.digest)
			if err1 != nil || err2 != nil || err3 != nil {
				t.Fatal(err1, err2, err3)
			}
			again, err := verify.Rejudge(index, state, samples, nil, beside, v)
			if err != nil || !proto.Equal(again.GetVerificationFailed(), e.GetVerificationFailed()) {
				t.Errorf("derived again: %v, %v", again, err)
			}
			if _, err := verify.Rejudge(index, state, samples, nil, samples, v); err == nil {
				t.Error("the samples of the release are taken for those beside it")
			}
			if _, err := verify.Rejudge(policy.NewIndex(&policyv1.Procedure{}), state, samples, nil, beside, v); err == nil {
				t.Error("a look that no document asks for counts")
			}
		})
	}
}

// TestWhatIsTheReleasesAloneIsNotLookedForElsewhere: that another artifact runs than was approved
// says nothing of others.
func TestWhatIsTheReleasesAloneIsNotLookedForElsewhere(t *testing.T) {
	other := newPlace(t, before)
	r := newRig(t, looksBeside, map[string]*place{"eu1": newPlace(t, before), "us1": other}, proceduretest.Waves([]string{"eu1"}, []string{"us1"}))
	r.to(t, procedure.PhaseVerify)
	e, err := r.turn(t)
	if err != nil || !slices.Contains(procedure.FailedChecks(verification(e)), "target.digest") || r.state(t).Phase != procedure.PhaseRemedy || other.count("/healthz") > 0 {
		t.Errorf("in phase %s: %v, %v", r.state(t).Phase, verification(e), err)
	}
}
