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
// of that: then the caller decided on something else. An urgent release is not kept waiting
// for room in the store; what is returned says so in the event.
func (s *Server) keep(ctx context.Context, d desk, digest string) ([]*releasev1.UnkeptEvidence, error) {
	all := d.views()
	for i := len(all) - 1; i >= 0; i-- {
		document, mediaType, err := shown.Document(pendingOf(d.index, all[i]))
		if err != nil {
			return nil, err
		}
		if evidence.Digest(document) != digest {
			continue
		}
		_, unkept, err := evidence.Keep(ctx, s.evidence, mediaType, "what approvers of "+d.state.Release+" were shown", document)
		switch {
		case err == nil:
			return nil, nil
		case unkept != nil && d.state.Urgent():
			return []*releasev1.UnkeptEvidence{unkept}, nil
		}
		return nil, fmt.Errorf("keep what was shown: %w", err)
	}
	return nil, errNotShown
}
