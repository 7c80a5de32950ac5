package replay

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// onCall judges again by which shifts somebody was in the groups of a decision that they are
// no members of: by the rotas of the procedure document, as of when it was stored. The shifts
// that the document then in effect said, where it was another one, stand beside these.
func onCall(field string, index *policy.Index, person string, groups []string, said []*releasev1.Shift, at time.Time) error {
	for _, s := range index.Shifts(person, at) {
		if slices.Contains(groups, s.GetGroup()) && !slices.ContainsFunc(said, func(o *releasev1.Shift) bool { return proto.Equal(o, s) }) {
			return fmt.Errorf("%w: %s.on_call: by the procedure document %s was on call for %s in shift %d of the rota %s, and it says something else",
				errDiffers, field, person, s.GetGroup(), s.GetNumber(), s.GetRota())
		}
	}
	return nil
}

// onDuty says which shifts of a decision were derived, and which not.
func (d *Decision) onDuty(index *policy.Index, person string, said []*releasev1.Shift, at time.Time) {
	for _, s := range said {
		derived := slices.ContainsFunc(index.Shifts(person, at), func(o *releasev1.Shift) bool { return proto.Equal(o, s) })
		what := fmt.Sprintf("that %s was on call for %s in shift %d of the rota %s", person, s.GetGroup(), s.GetNumber(), s.GetRota())
		if derived {
			d.Detail += "; " + what
		} else {
			d.Taken = append(d.Taken, what+" by the document then in effect")
		}
	}
}
