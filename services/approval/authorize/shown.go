package authorize

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Evidence keeps what people were shown; *evidence.Store does.
type Evidence interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
	Get(ctx context.Context, digest string) ([]byte, error)
}

var errNotShown = refuse(codes.Aborted, "STALE_SHOWN_DIGEST",
	"this is not what there is to be seen of the release: look at it again, and approve with the shown_digest of that")

// content is what is shown, as a document that is kept and can be read without a
// program of ours, and its media type. It is the same for everybody and at every
// moment: whether the caller may approve is left out, and so is what changes by the clock
// alone: what is missing, which follows from the approvals and of which one may expire,
// and what would hold a start.
func content(shown *approvalv1.Pending) (document []byte, mediaType string, err error) {
	p := proto.CloneOf(shown)
	p.Missing, p.MayApprove, p.MayNotReason, p.ShownDigest = nil, false, "", ""
	p.Holds, p.EarliestStart = nil, nil
	// The library's own form varies its spaces on purpose, so it is written once more.
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p)
	if err != nil {
		// A time that JSON cannot say must not keep anybody from deciding.
		document, err = proto.MarshalOptions{Deterministic: true}.Marshal(p)
		return document, "application/protobuf", err
	}
	var fields any
	decoder := json.NewDecoder(bytes.NewReader(loose))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, "", fmt.Errorf("write what is shown of %s: %w", p.GetRelease(), err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(fields); err != nil {
		return nil, "", fmt.Errorf("write what is shown of %s: %w", p.GetRelease(), err)
	}
	return out.Bytes(), "application/json", nil
}

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
		document, mediaType, err := content(pendingOf(d.index, all[i]))
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
