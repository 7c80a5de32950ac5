package execute

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
)

// errNewer says that a release has an event of a kind that this executor does not know.
var errNewer = errors.New("somebody newer has said something that this version does not know")

// leaveNewer is how long such a release is left to a newer executor.
const leaveNewer = 5 * time.Second

// newer leaves a release to a newer executor, as long as nothing is claimed, where a newer service has
// written something into it of which this version does not know what it means: it may say that nothing
// is to begin. To the others what this one claims then does not count, and would have its effect all
// the same. Where there is no newer executor, the release is bounded as every wait is.
func newer(t reactor.Task) error {
	at := slices.IndexFunc(t.History.Invalid, func(i eventstore.Invalid) bool { return errors.Is(i.Reason, envelope.ErrSchema) })
	if at < 0 {
		return nil
	}
	return reactor.RetryAfter(leaveNewer, fmt.Errorf("event %d, %s: %w", t.History.Invalid[at].Sequence, t.History.Invalid[at].Subject, errNewer))
}
