package site

import (
	"context"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
)

// Documents are the procedure document with that digest, under which a release runs, and,
// where it is another one, that in effect now.
func (s *Site) Documents(ctx context.Context, digest string) ([]*policy.Index, error) {
	own, err := s.Procedures.ByDigest(ctx, digest)
	if err != nil {
		return nil, err
	}
	active, err := standing.ReadProcedure(ctx, s.Store, own.Document().GetId())
	if err != nil || active.Digest == "" || active.Digest == digest {
		return []*policy.Index{own}, err
	}
	now, err := s.Procedures.ByDigest(ctx, active.Digest)
	if err != nil {
		return nil, err
	}
	return []*policy.Index{own, now}, nil
}
