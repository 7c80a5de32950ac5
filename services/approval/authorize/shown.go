package authorize

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/shown"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Evidence keeps what people were shown; *evidence.Store does.
type Evidence interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
	Get(ctx context.Context, digest string) ([]byte, error)
}

var errNotShown = refuse(codes.Aborted, "STALE_SHOWN_DIGEST",
	"this is not what there is to be seen of the release: look at it again, and approve with the shown_digest of that")

// views are the release as people could see it, the newest last, since anything but
// another approval happened: an approval that somebody else gives meanwhile makes
// nobody look again, one that is taken back does.
func (d desk) views() []procedure.State {
	var all []procedure.State
	s := procedure.State{Release: d.state.Release}
	for _, e := range d.head.Entries {
		next, err := procedure.Evolve(s, e)
		if err != nil {
			continue
		}
		if s = next; s.Phase != procedure.PhaseApprove {
			all = nil
			continue
		}
		if e.Event.GetApprovalGiven() == nil {
			all = nil
		}
		all = append(all, s)
	}
	return all
}

// keep finds what the digest names among what the caller can have been shown, and
// stores it, so that the record can show it as well. It fails where it names nothing
// of that: then the caller decided on something else.
func (s *Server) keep(ctx context.Context, d desk, digest string) error {
	all := d.views()
	for i := len(all) - 1; i >= 0; i-- {
		document, mediaType, err := shown.Document(pendingOf(d.index, all[i]))
		if err != nil {
			return err
		}
		if evidence.Digest(document) != digest {
			continue
		}
		if _, err := s.evidence.Put(ctx, mediaType, "what approvers of "+d.state.Release+" were shown", document); err != nil {
			return fmt.Errorf("keep what was shown: %w", err)
		}
		return nil
	}
	return errNotShown
}
