package verify_test

import (
	"errors"
	"testing"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestSamplesThatCannotBeKept hide no failure: it is acted on at once. That all is well is
// not said of a planned release without what shows it, and is of one that is urgent.
func TestSamplesThatCannotBeKept(t *testing.T) {
	for _, test := range []struct {
		name  string
		runs  string
		lane  func(*releasev1.Request)
		phase procedure.Phase
		err   error
	}{
		{"a planned release that fails", before, func(*releasev1.Request) {}, procedure.PhaseRemedy, nil},
		{"a planned release that is well", released, func(*releasev1.Request) {}, procedure.PhaseVerify, evidence.ErrFull},
		{"a rollback that is well", released, proceduretest.Rollback, procedure.PhaseRelease, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, "", map[string]*place{"eu1": newPlace(t, test.runs)}, test.lane)
			r.to(t, procedure.PhaseVerify)
			eventstoretest.Full(t, r)
			e, err := r.turn(t)
			if !errors.Is(err, test.err) || r.state(t).Phase != test.phase {
				t.Fatalf("in phase %s, %v", r.state(t).Phase, err)
			}
			if v := verification(e); err == nil && (len(e.GetUnkept()) != 1 || e.GetUnkept()[0].GetDigest() != v.GetSamples().GetDigest() || v.GetSamples().GetDigest() == "") {
				t.Errorf("the event says %v of %v", e.GetUnkept(), v.GetSamples())
			}
		})
	}
}
