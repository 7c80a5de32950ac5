package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// room is the length of the longest media type for which intake leaves room in a preview.
const room = 96

// refusing is a store that takes nothing, for that reason.
type refusing struct{ err error }

func (r refusing) Put(context.Context, string, string, []byte) (*releasev1.EvidenceRef, error) {
	return nil, fmt.Errorf("put: %w", r.err)
}

// TestWhatIsNotKeptTakesNoMoreRoomThanWhatIs: room for the events of later steps is looked at
// once, before there is a release, and as if everything were kept. Previews that could not be
// are named in few words, whatever the reason, however short the names of the targets are.
func TestWhatIsNotKeptTakesNoMoreRoomThanWhatIs(t *testing.T) {
	reasons := map[string]bool{}
	for _, err := range []error{evidence.ErrFull, evidence.ErrTooLarge, context.DeadlineExceeded, errors.New("no response from stream")} {
		reasons[evidence.Why(err)] = true
		for _, name := range []string{"%d", "%063d"} {
			tolerant := evidence.Tolerate(refusing{err})
			var kept, lost []*releasev1.TargetPreview
			for n := range 9 {
				target := fmt.Sprintf(name, n)
				ref, err := keep(t.Context(), tolerant, target, "preview of "+target)
				if err != nil {
					t.Fatal(err)
				}
				lost = append(lost, &releasev1.TargetPreview{Target: target, Detail: proto.CloneOf(ref)})
				ref.MediaType = strings.Repeat("m", room)
				kept = append(kept, &releasev1.TargetPreview{Target: target, Detail: ref})
			}
			all := tolerant.Unkept()
			if len(all) != len(lost) {
				t.Fatalf("not kept: %v", all)
			}
			// Room is left for the largest size; that of what is not kept stands there as well.
			for n := range kept {
				kept[n].Detail.Size, lost[n].Detail.Size = 8<<20, 8<<20
			}
			if a, b := proto.Size(conclude(kept, nil, nil)), proto.Size(conclude(lost, nil, all)); b > a {
				t.Errorf("%v, target %s: not kept it takes %d bytes, and kept %d", err, lost[0].GetTarget(), b, a)
			}
			for n := range lost {
				if lost[n].GetDetail().GetDigest() != kept[n].GetDetail().GetDigest() {
					t.Errorf("%v: another digest", err)
				}
			}
		}
	}
	if len(reasons) != 4 {
		t.Errorf("reasons: %v", reasons)
	}
}
