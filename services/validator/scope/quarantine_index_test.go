package scope_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// image notes that an artifact is an image of an index, as the executor does when that goes
// into quarantine.
func (w *world) image(t *testing.T, digest, index string) {
	t.Helper()
	w.put(t, digest, "", func(q procedure.Quarantined) (*releasev1.Event, error) {
		return procedure.DecideImage(q, nil, digest, index, "mail-7"), nil
	})
}

// TestAnImageOfAnIndexInQuarantineIsReleasedNowhere, neither by itself nor as all that is in
// another index; an index with something new in it is another one, and whatever two people
// let out is out with its images.
func TestAnImageOfAnIndexInQuarantineIsReleasedNowhere(t *testing.T) {
	w := newWorld(t, document(""))
	index, alone := digestOf("index"), digestOf("1.4.2")
	w.quarantine(t, index)
	w.image(t, alone, index)
	w.image(t, digestOf("arm"), index)
	refused := func(name, text string) {
		t.Helper()
		found, s, err := w.look(t, w.place(t, "1.4.2"))
		if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !has(found, "artifact.quarantined shop BLOCKING") || !strings.Contains(s.EndReason, text) {
			t.Errorf("%s: outcome %s, %v: %q, %s", name, s.Outcome, err, found, s.EndReason)
		}
	}
	goesOn := func(name string) {
		t.Helper()
		found, s, err := w.look(t, w.place(t, "1.4.2"))
		if err != nil || s.Phase != procedure.PhasePreview || has(found, "artifact.quarantined shop BLOCKING") || has(found, "artifact.cleared shop WARNING") {
			t.Errorf("%s: phase %s, %v: %q", name, s.Phase, err, found)
		}
	}
	refused("by itself", "it is an image of the index "+index+", which is in quarantine because of release mail-7")
	w.put(t, index, "otto", func(q procedure.Quarantined) (*releasev1.Event, error) {
		return procedure.DecideProposal(q, proceduretest.Person("otto"), "the probe was wrong", time.Now())
	})
	refused("when somebody asked for it to be let out", "it is an image of the index")
	w.put(t, index, "cleo", func(q procedure.Quarantined) (*releasev1.Event, error) {
		of := map[string]procedure.State{"mail-7": {Phase: procedure.PhaseClosed, Request: proceduretest.Request()}}
		return procedure.DecideClearance(q, of, proceduretest.Person("cleo"), nil, "seen", time.Now())
	})
	goesOn("when the index was let out")
	w.quarantine(t, index)
	refused("when the index is back", "it is an image of the index")
}

// TestAnIndexOfNothingButImagesOfOneInQuarantineIsThatOne by another name.
func TestAnIndexOfNothingButImagesOfOneInQuarantineIsThatOne(t *testing.T) {
	w := newWorld(t, document(""))
	index := digestOf("index")
	w.quarantine(t, index)
	w.image(t, digestOf("arm"), index)
	w.image(t, digestOf("amd"), index)
	w.pins(pinnedIndex{digestOf("amd"), digestOf("arm")})
	found, s, err := w.look(t)
	if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !has(found, "artifact.quarantined shop BLOCKING") ||
		!strings.Contains(s.EndReason, "all its images are those of the index "+index) {
		t.Errorf("outcome %s, %v: %q, %s", s.Outcome, err, found, s.EndReason)
	}
	w.pins(pinnedIndex{digestOf("amd"), digestOf("new")})
	if found, s, err := w.look(t); err != nil || s.Phase != procedure.PhasePreview {
		t.Errorf("phase %s, %v: %q", s.Phase, err, found)
	}
}
