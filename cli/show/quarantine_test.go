package show_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/show"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatIsHeldWithoutAReasonIsListed: an image of too many indexes has none of its own.
func TestWhatIsHeldWithoutAReasonIsListed(t *testing.T) {
	for _, wide := range []bool{false, true} {
		var out strings.Builder
		err := show.Quarantines(&out, []*recorderv1.QuarantinedArtifact{{Held: true, State: &releasev1.Quarantine{Digest: "sha256:aa", Forgotten: 1}}}, wide)
		if err != nil || !strings.Contains(out.String(), "sha256:aa") || !strings.Contains(out.String(), "more indexes") {
			t.Errorf("wide %v: %v\n%s", wide, err, out.String())
		}
	}
}
