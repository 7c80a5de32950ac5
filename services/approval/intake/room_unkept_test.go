package intake_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatIsNotKeptTakesNoMoreRoomThanWhatIs: room for the events of later steps is looked at
// once, before there is a release, and as if everything were kept. A preview that could not be
// is named in few words.
func TestWhatIsNotKeptTakesNoMoreRoomThanWhatIs(t *testing.T) {
	name := "preview of " + "t"
	kept := &releasev1.ChangePreviewed{Previews: []*releasev1.TargetPreview{{
		Detail: &releasev1.EvidenceRef{Digest: proceduretest.Digest('a'), MediaType: strings.Repeat("m", 96), Size: 8 << 20, Name: name},
	}}}
	lost := &releasev1.Event{Unkept: []*releasev1.UnkeptEvidence{{
		Digest: proceduretest.Digest('a'), Name: "preview", Reason: evidence.ErrFull.Error(),
	}}, Data: &releasev1.Event_ChangePreviewed{ChangePreviewed: &releasev1.ChangePreviewed{Previews: []*releasev1.TargetPreview{{
		Detail: &releasev1.EvidenceRef{Digest: proceduretest.Digest('a'), Size: 8 << 20},
	}}}}}
	if a, b := proto.Size(&releasev1.Event{Data: &releasev1.Event_ChangePreviewed{ChangePreviewed: kept}}), proto.Size(lost); b > a {
		t.Errorf("not kept it takes %d bytes, and kept %d", b, a)
	}
}
