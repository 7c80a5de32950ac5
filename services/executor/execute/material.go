package execute

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/verdict"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bounds on reading the evidence of a release at a start: all of it within readWithin, so many
// pieces at a time. A store that does not answer must not eat up the time of a claim, piece by
// piece, of an emergency that goes around what it has.
const (
	readWithin = 20 * time.Second
	readAtOnce = 8
)

// material is what the evidence of a release is judged by, as one act of the step found it.
type material struct {
	trusts    []verdict.Trust
	envelopes [][]byte
	// active is the digest of the document in effect.
	active string
	// gone are roots and pieces that cannot be read, each in words for the record.
	gone []string
}

// why says in one line for the record what cannot be read; empty where everything can.
func (m *material) why() string {
	switch n := len(m.gone); n {
	case 0:
		return ""
	case 1:
		return m.gone[0]
	default:
		return fmt.Sprintf("%s (and %d more)", m.gone[0], n-1)
	}
}

// gather reads what the evidence is judged by. An act judges it up to three times, and reads
// it once: what is known by its digest does not change, and what could not be read a moment ago
// is not waited for again.
func (s shell) gather(ctx context.Context, t reactor.Task) (*material, error) {
	if s.gathered == nil || *s.gathered == nil {
		m, err := s.read(ctx, t)
		if err != nil || s.gathered == nil {
			return m, err
		}
		*s.gathered = m
	}
	return *s.gathered, nil
}

// read finds the documents and trusted roots by which the evidence is judged, and the evidence
// of step 1. There are no trusts where the release had no gate to pass. A root or a piece that
// is not there any more, or not what its digest says, or of which the store says nothing, is
// gone; what only it could show is waited for, and no emergency that goes around it is.
func (s shell) read(ctx context.Context, t reactor.Task) (*material, error) {
	own, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	now, err := standing.ReadProcedure(ctx, s.Store, own.Document().GetId())
	if err != nil {
		return nil, err
	}
	m := &material{active: now.Digest}
	if m.active == "" {
		m.active = t.State.ProcedureDigest
	}
	if len(own.GatesFor(t.State.Request)) == 0 {
		return m, nil
	}
	var active *policy.Index
	if m.active != t.State.ProcedureDigest {
		if active, err = s.Procedures.ByDigest(ctx, m.active); err != nil {
			return nil, err
		}
	}
	bounded, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	var failed []error
	if m.trusts, err = verdict.Trusts(own, active, func(digest string) (*sigstore.Root, error) {
		root, err := s.roots.Root(bounded, digest)
		if err != nil {
			failed = append(failed, err)
			m.gone = append(m.gone, fmt.Sprintf("by the trusted root %s nothing can be judged again: %s", digest, verdict.Unread(err)))
		}
		return root, nil
	}); err != nil {
		return nil, err
	}
	refs := verdict.Pieces(t.State)
	contents, errs := s.pieces(bounded, refs)
	for i, ref := range refs {
		if errs[i] != nil {
			failed = append(failed, errs[i])
			m.gone = append(m.gone, fmt.Sprintf("the evidence %s cannot be judged again: %s", ref.GetDigest(), verdict.Unread(errs[i])))
			continue
		}
		m.envelopes = append(m.envelopes, contents[i])
	}
	if len(failed) > 0 && ctx.Err() == nil {
		slog.WarnContext(ctx, "evidence of a release cannot be read", slog.String("release", t.State.Release), slog.Any("error", errors.Join(failed...)))
	}
	return m, ctx.Err()
}

// pieces reads them, some at a time, until the context is over; each has its own error.
func (s shell) pieces(ctx context.Context, refs []*releasev1.EvidenceRef) (contents [][]byte, failed []error) {
	contents, failed = make([][]byte, len(refs)), make([]error, len(refs))
	var all sync.WaitGroup
	slots := make(chan struct{}, readAtOnce)
	for i, ref := range refs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if failed[i] = ctx.Err(); failed[i] == nil {
				contents[i], failed[i] = s.Blobs.Get(ctx, ref.GetDigest())
			}
		})
	}
	all.Wait()
	return contents, failed
}
