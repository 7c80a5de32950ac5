package risk

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ruleQuota names an emergency that is one of many.
const ruleQuota = "emergency.quota"

// quotaUsed judges an emergency by how many the service had in the environment (N-04): one
// too many is refused, or takes more approvals than that of the lane, as the document
// says. An emergency counts from when it was asked for, once it was authorized; and one
// that was asked for earlier counts while it may still be, so that of two at once the
// later one is judged with the first, in whichever order they get here.
func (l *look) quotaUsed(ctx context.Context) error {
	quota := l.index.Document().GetEmergency().GetQuota()
	if quota == nil || !l.state.Emergency() {
		return nil
	}
	r := l.state.Request
	s, err := standing.ReadService(ctx, l.store, r.GetEnvironment(), r.GetService())
	if err != nil {
		return err
	}
	period := quota.GetPeriod().AsDuration()
	used := s.UsedSince(l.state.Release, l.state.RequestedAt, period)
	ahead, err := l.ahead(ctx, s, used, period)
	if err != nil {
		return err
	}
	used = append(used, ahead...)
	if len(used) < int(quota.GetCount()) {
		l.find(releasev1.Finding_SEVERITY_OK, ruleQuota, r.GetService(), "%d of %d emergencies within %s", len(used)+1, quota.GetCount(), period)
		return nil
	}
	last := used[len(used)-1]
	const told = "%d emergencies of %s within %s, and %d are allowed; the last was %s, %s"
	at := last.GetTime().AsTime().UTC().Format(time.RFC3339)
	if len(quota.GetOver()) == 0 {
		l.find(releasev1.Finding_SEVERITY_BLOCKING, ruleQuota, r.GetService(), told+": release it as planned",
			len(used), r.GetService(), period, quota.GetCount(), last.GetRelease(), at)
		return nil
	}
	l.find(releasev1.Finding_SEVERITY_WARNING, ruleQuota, r.GetService(), told+": more people have to agree",
		len(used), r.GetService(), period, quota.GetCount(), last.GetRelease(), at)
	return nil
}

// ahead are the emergencies of the service that are under way and not authorized yet, and
// were accepted before this one. The order is that of the service's list of open releases,
// which changes in one batch with every request: the store decides which of two was first,
// and both see the same. A history that somebody made too long is read as far as it goes.
func (l *look) ahead(ctx context.Context, s standing.Service, counted []*releasev1.EmergencyUse, period time.Duration) ([]*releasev1.EmergencyUse, error) {
	before := s.Open
	if i := slices.Index(s.Open, l.state.Release); i >= 0 {
		before = s.Open[:i]
	}
	var out []*releasev1.EmergencyUse
	for _, id := range before {
		if slices.ContainsFunc(counted, func(e *releasev1.EmergencyUse) bool { return e.GetRelease() == id }) {
			continue
		}
		h, err := l.store.Beginning(ctx, procedure.Aggregate(id))
		if errors.Is(err, envelope.ErrSubject) {
			continue // No release has such a name, and it must not keep an emergency waiting.
		}
		if err != nil {
			return nil, err
		}
		other, _ := procedure.Fold(id, h.Entries)
		over := other.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && other.Authorized == nil
		if other.Emergency() && !over && other.RequestedAt.After(l.state.RequestedAt.Add(-period)) {
			out = append(out, &releasev1.EmergencyUse{Release: id, Time: timestamppb.New(other.RequestedAt)})
		}
	}
	return out, nil
}
