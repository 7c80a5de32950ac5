package procedure_test

import (
	"fmt"
	"slices"
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
		e := procedure.DecideImage(q, image, index, h.Release)
		if e == nil {
			t.Fatalf("%s is not noted", index)
		}
		return stands(h, e, nil)
	}
	q := noted(procedure.Quarantined{}, one)
	if q.Held || q.LetOut() || q.State.GetDigest() != image || !slices.Equal(q.State.GetIndexes(), []string{one}) {
		t.Errorf("%+v", q)
	}
	if procedure.DecideImage(q, image, one, h.Release) != nil {
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
		if q := stands(h, e, nil); !q.Held || procedure.DecideImage(q, image, one, h.Release) != nil {
			t.Errorf("%s that nobody understands lets it out", procedure.TypeOf(e))
		}
	}
	q = procedure.Quarantined{}
	for i := range 40 {
		q = noted(q, fmt.Sprintf("sha256:%064d", i))
	}
	if n := len(q.State.GetIndexes()); n != 16 || q.State.GetIndexes()[0] != fmt.Sprintf("sha256:%064d", 39) {
		t.Errorf("%d indexes: %v", n, q.State.GetIndexes())
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
