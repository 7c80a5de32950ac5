package procedure_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnImageOfAnIndexInQuarantineIsNoted, and what it stands at by itself stays as it is.
func TestAnImageOfAnIndexInQuarantineIsNoted(t *testing.T) {
	image, one, two := proceduretest.Digest('a'), proceduretest.Digest('1'), proceduretest.Digest('2')
	h := failed(t)
	noted := func(q procedure.Quarantined, index string) procedure.Quarantined {
		t.Helper()
		e := procedure.DecideImage(q, q.State.GetIndexes(), image, index, h.Release)
		if e == nil {
			t.Fatalf("%s is not noted", index)
		}
		return stands(h, e, nil)
	}
	q := noted(procedure.Quarantined{}, one)
	if q.Held || q.LetOut() || q.State.GetDigest() != image || !slices.Equal(q.State.GetIndexes(), []string{one}) {
		t.Errorf("%+v", q)
	}
	if procedure.DecideImage(q, []string{one}, image, one, h.Release) != nil {
		t.Error("the same index is noted twice")
	}
	own := stands(h, procedure.DecideQuarantine(q, image, procedure.WhyQuarantined(h.State(), h.Entries, h.Now)), nil)
	if !own.Held || !slices.Equal(own.State.GetIndexes(), []string{one}) || own.State.GetClearedBefore() != 0 {
		t.Errorf("by itself: %+v", own)
	}
	proposal, err := procedure.DecideProposal(own, proceduretest.Person("otto"), "the probe was wrong", h.Now)
	if err != nil {
		t.Fatal(err)
	}
	asked := stands(h, proposal, proceduretest.Person("otto"))
	if q = noted(asked, two); !q.Held || len(q.State.GetReasons()) != 1 || q.State.GetClearance().GetProposedBy() != "otto" || !slices.Equal(q.State.GetIndexes(), []string{two, one}) {
		t.Errorf("what somebody asked to let out: %+v", q)
	}
	out := asked
	out.Held = false
	if q = noted(out, two); q.Held || q.LetOut() || q.State.GetClearedBefore() != 1 || q.State.GetClearance() != nil {
		t.Errorf("what was let out: %+v", q)
	}
	for _, e := range []*releasev1.Event{
		{Data: &releasev1.Event_ArtifactQuarantined{ArtifactQuarantined: &releasev1.ArtifactQuarantined{State: &releasev1.Quarantine{Digest: image}}}},
		proceduretest.Override("a"),
	} {
		if q := stands(h, e, nil); !q.Held || procedure.DecideImage(q, nil, image, one, h.Release) != nil {
			t.Errorf("%s that nobody understands lets it out", procedure.TypeOf(e))
		}
	}
}

// TestAnIndexThatHoldsAnImageIsNotForgotten for one that goes into quarantine later: those
// that were let out give way, and where all hold it the image is there by itself.
func TestAnIndexThatHoldsAnImageIsNotForgotten(t *testing.T) {
	image := proceduretest.Digest('a')
	h := failed(t)
	of := func(i int) string { return fmt.Sprintf("sha256:%064d", i) }
	note := func(q procedure.Quarantined, within []string, i int) procedure.Quarantined {
		t.Helper()
		e := procedure.DecideImage(q, within, image, of(i), h.Release)
		if e == nil {
			t.Fatalf("index %d is not noted", i)
		}
		return stands(h, e, nil)
	}
	full := procedure.Quarantined{}
	for i := range 16 {
		full = note(full, full.State.GetIndexes(), i)
	}
	if full.Held || len(full.State.GetIndexes()) != 16 {
		t.Fatalf("%+v", full)
	}
	// Number 3 was let out, and then goes back.
	within := slices.DeleteFunc(slices.Clone(full.State.GetIndexes()), func(i string) bool { return i == of(3) })
	back := note(full, within, 3)
	if back.Held || back.State.GetForgotten() != 0 || len(back.State.GetIndexes()) != 16 || back.State.GetIndexes()[0] != of(3) {
		t.Errorf("back again: %+v", back)
	}
	room := note(full, within, 16)
	if room.Held || room.State.GetForgotten() != 0 || !slices.Equal(room.State.GetIndexes(), append([]string{of(16)}, within...)) {
		t.Errorf("one gave way: %+v", room)
	}
	// All of them hold it.
	q := note(full, full.State.GetIndexes(), 16)
	if !q.Held || q.LetOut() || q.State.GetForgotten() != 1 || len(q.State.GetIndexes()) != 16 || !q.Without(h.Release).Held || !strings.Contains(q.Sentence(), "more indexes") {
		t.Errorf("none gave way: %+v, %s", q, q.Sentence())
	}
	if procedure.DecideImage(q, nil, image, of(17), h.Release) != nil {
		t.Error("what is held by itself is held once more")
	}
	proposal, err := procedure.DecideProposal(q, proceduretest.Person("otto"), "the probe was wrong", h.Now)
	if err != nil {
		t.Fatal(err)
	}
	asked := stands(h, proposal, proceduretest.Person("otto"))
	if _, err := procedure.DecideClearance(asked, nil, proceduretest.Person("cleo"), nil, "fine", h.Now); !errors.Is(err, procedure.ErrForgotten) {
		t.Errorf("let out though an index is forgotten: %v", err)
	}
	own := stands(h, procedure.DecideQuarantine(q, image, procedure.WhyQuarantined(h.State(), h.Entries, h.Now)), nil)
	if !own.Held || own.State.GetForgotten() != 1 || !own.Without(h.Release).Held {
		t.Errorf("by itself as well: %+v", own)
	}
}

// TestTheImagesOfAnIndexAreEachOnce, and a file has none.
func TestTheImagesOfAnIndexAreEachOnce(t *testing.T) {
	index, image := proceduretest.Digest('1'), proceduretest.Digest('2')
	s := procedure.State{Artifacts: []*releasev1.PinnedArtifact{
		{Digest: index, Platforms: []*releasev1.PlatformImage{{Platform: "linux/amd64", Digest: image}, {Platform: "linux/amd64/v2", Digest: image}, {Digest: index}}},
		{Digest: proceduretest.Digest('3'), Platforms: []*releasev1.PlatformImage{{Digest: proceduretest.Digest('4')}}},
	}}
	if got := procedure.ImagesOf(s, index); !slices.Equal(got, []string{image}) {
		t.Errorf("%v", got)
	}
	if got := procedure.ImagesOf(s, image); got != nil {
		t.Errorf("%v", got)
	}
}
