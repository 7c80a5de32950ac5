package gates

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/verdict"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// notRead begins the reason of what was kept and could not be read when it was judged.
const notRead = "could not be read: "

// proof reads what the required gates are judged by. Where the procedure requires none of the
// release nothing is read: a way back that needs no evidence waits for no store. What cannot
// be read is an error, and looked for again, but for an emergency (PD-A.5): after a while it
// is judged without, which satisfies no gate, and unread names it. What only documents an
// emergency keeps it waiting no longer than what could not be kept does.
func (s *shell) proof(ctx context.Context, t reactor.Task, index *policy.Index) (trust verdict.Trust, envelopes [][]byte, unread []*releasev1.UnkeptEvidence, err error) {
	trust = verdict.Trust{Index: index}
	if len(index.GatesFor(t.State.Request)) == 0 {
		return trust, nil, nil, nil
	}
	refs := there(t.State)
	contents, failed := make([][]byte, len(refs)), make([]error, len(refs))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, ref := range refs {
		group.Go(func() error {
			contents[i], failed[i] = s.blobs.Get(ctx, ref.GetDigest())
			return nil
		})
	}
	_ = group.Wait() // Each has its own error.
	trust, rootless := s.trust(ctx, index)
	if ctx.Err() != nil {
		return trust, nil, nil, ctx.Err()
	}
	if !t.State.Emergency() || !s.dry && t.Now.Before(t.State.Entered.Add(patienceOf(t.State))) {
		for i, ref := range refs {
			if failed[i] != nil {
				return trust, nil, nil, fmt.Errorf("read evidence %s: %w", ref.GetDigest(), failed[i])
			}
		}
		return trust, contents, nil, rootless
	}
	without := func(digest, name string, err error) {
		slog.WarnContext(ctx, "an emergency is judged without what cannot be read",
			slog.String("release", t.State.Release), slog.String("digest", digest), slog.Any("error", err))
		unread = append(unread, &releasev1.UnkeptEvidence{Digest: digest, Name: name, Reason: notRead + verdict.Unread(err)})
	}
	for i, ref := range refs {
		if failed[i] != nil {
			without(ref.GetDigest(), "the evidence", failed[i])
			continue
		}
		envelopes = append(envelopes, contents[i])
	}
	if rootless != nil {
		without(index.Document().GetSigstore().GetTrustedRoot(), "the trusted root", rootless)
	}
	trust.Lost = lostOf(unread)
	return trust, envelopes, unread, nil
}

// Unread is what an end of step 1 says that it was judged without, though it was kept: its
// digests, and what of it stands in every verdict that needed it. A replay judges without it
// as well.
func Unread(e *releasev1.Event) (digests map[string]bool, lost string) {
	digests = map[string]bool{}
	for _, u := range e.GetUnkept() {
		if strings.HasPrefix(u.GetReason(), notRead) {
			digests[u.GetDigest()] = true
		}
	}
	return digests, lostOf(e.GetUnkept())
}

func lostOf(unkept []*releasev1.UnkeptEvidence) string {
	for _, u := range unkept {
		if strings.HasPrefix(u.GetReason(), notRead) {
			return fmt.Sprintf("%s %.19s… %s", u.GetName(), u.GetDigest(), u.GetReason())
		}
	}
	return ""
}
