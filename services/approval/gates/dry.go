package gates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
)

// dryTime is how long a question waits where nothing else is said: somebody sits in front of it.
const dryTime = 4 * time.Second

// Outside is whom step 1 asks besides the evidence that came with a request. Where there is
// no finder, no registry is asked.
type Outside struct {
	Connectors changerecord.Connectors
	Finder     Finder
	// Within bounds how long a question waits for the systems that keep change records, and as
	// long again for registries. Zero: 4 s.
	Within time.Duration
}

// Saw is told what a question found; of its functions those may be nil of which nobody wants
// to know.
type Saw struct {
	// Record is told what was made of each change record.
	Record func(changerecord.Result)
	// Judge is told how the same evidence is judged at another time. Change records are not in it.
	Judge func(func(at time.Time) []*releasev1.GateVerdict)
}

// Dry returns the step for a question (N-18). It asks whom the step asks, once and not for
// long, and keeps nothing of what they say: the evidence that it names is in no store. What is
// not known at once is not known, and passes nothing; the step would ask again. What it says of
// registries are words of our own: what a client says of an address is for the log alone.
func Dry(procedures Procedures, blobs Reader, outside Outside, saw Saw) reactor.Step {
	s := &shell{
		procedures: procedures, blobs: blobs, keeper: unkeeping{blobs, evidence.Named{}}, connectors: outside.Connectors, finder: outside.Finder,
		roots: sigstore.NewShelf(blobs.Get), dry: true, within: outside.Within, saw: saw,
	}
	if s.within <= 0 {
		s.within = dryTime
	}
	return reactor.Step{ID: procedure.StepGates, Act: s.act}
}

// unkeeping reads what is kept and keeps nothing.
type unkeeping struct {
	Reader
	evidence.Named
}

// bounded is the context in which others are asked.
func (s *shell) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if !s.dry {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.within)
}

// why says what kept a registry from being seen. Of an image that may not be looked for the
// words are about the request and nothing else.
func (s *shell) why(ctx context.Context, a *releasev1.Artifact, err error) string {
	if !s.dry || errors.Is(err, referrers.ErrLocation) {
		return oneLine(err.Error())
	}
	slog.WarnContext(ctx, "what is beside an image is not known for a question", slog.String("artifact", a.GetName()), slog.Any("error", err))
	said := referrers.ErrUnreachable.Error()
	switch {
	case errors.Is(err, referrers.ErrBounds):
		said = "there is " + referrers.ErrBounds.Error()
	case errors.Is(err, context.DeadlineExceeded):
		said += ", for it does not answer in time"
	}
	return fmt.Sprintf("statements about %.200s: %s", a.GetName(), said)
}
