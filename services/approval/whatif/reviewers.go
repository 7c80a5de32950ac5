package whatif

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// reviewers are the people who can review the procedure documents for which a release waits,
// by the digest of the document: those whom the document before names, who have not left by
// the one in effect, without who forced it. What cannot be read names nobody. The active
// document is that in effect.
func (d *Desk) reviewers(ctx context.Context, active *policy.Index, holds []*releasev1.HoldReason) map[string][]string {
	if !slices.ContainsFunc(holds, func(h *releasev1.HoldReason) bool { return h.GetRule() == procedure.HoldDocumentUnreviewed }) {
		return nil
	}
	stands, err := standing.ReadProcedure(ctx, d.store, active.Document().GetId())
	if err != nil {
		slog.WarnContext(ctx, "who reviews procedure documents is not known", slog.Any("error", err))
		return nil
	}
	out := map[string][]string{}
	for _, o := range stands.Document.Standing.GetDebts() {
		before, err := d.procedures.ByDigest(ctx, o.GetJudgedBy())
		if err != nil {
			slog.WarnContext(ctx, "who reviews a procedure document is not known", slog.Any("error", err))
			continue
		}
		out[o.GetDigest()] = slices.DeleteFunc(before.People(o.GetGroup()), func(id string) bool {
			p, forced := active.Person(id), before.Person(o.GetClaimedBy())
			return p == nil || p.GetInactive() || p.GetMachine() || strings.EqualFold(id, o.GetClaimedBy()) ||
				forced != nil && forced == before.Person(id) || p == active.Person(o.GetClaimedBy())
		})
	}
	return out
}
