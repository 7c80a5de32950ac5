package replay

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// onDutyAt is as of when a decision says who was on call: when it was decided. That it was
// stored within the shifts that it names is what makes it count. An override that goes over a
// hand-over stands in the place of one shift of the rota before it, and of another after it.
// Of events of before that moment was kept it is when they were stored.
func onDutyAt(e procedure.Entry) (time.Time, error) {
	at, kept, err := clock(e)
	if !kept {
		at = e.Stored
	}
	return at, err
}

// onCall judges again by which shifts somebody was in the groups of a decision that they are
// no members of: by the rotas of the procedure document, at that moment. The shifts
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
