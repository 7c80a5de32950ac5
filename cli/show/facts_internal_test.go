package show

import (
	"testing"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatCameAgainIsKept: what was not kept and came again is not listed as missing; what an
// event says of itself stands.
func TestWhatCameAgainIsKept(t *testing.T) {
	event := func(e *releasev1.Event) *recorderv1.RecordedEvent { return &recorderv1.RecordedEvent{Event: e} }
	unkept := func(digest string) *releasev1.UnkeptEvidence {
		return &releasev1.UnkeptEvidence{Digest: digest, Name: "evidence", Reason: "no answer in time"}
	}
	back := &releasev1.Event{Unkept: []*releasev1.UnkeptEvidence{unkept("c")}, Data: &releasev1.Event_EvidenceAdded{EvidenceAdded: &releasev1.EvidenceAdded{
		Evidence: []*releasev1.EvidenceRef{{Digest: "b"}, {Digest: "c"}},
	}}}
	f := gather([]*recorderv1.RecordedEvent{event(&releasev1.Event{Unkept: []*releasev1.UnkeptEvidence{unkept("a"), unkept("b")}}), event(back)})
	if len(f.unkept) != 2 || f.unkept[0].GetDigest() != "a" || f.unkept[1].GetDigest() != "c" {
		t.Errorf("not kept: %v", f.unkept)
	}
}
