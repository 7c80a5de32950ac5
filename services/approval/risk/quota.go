package risk

import (
	"context"
	"time"

	"github.com/blackdice/shipwarden/internal/standing"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ruleQuota names an emergency that is one of many.
const ruleQuota = "emergency.quota"

// quotaUsed judges an emergency by how many the service had in the environment (N-04): one
// too many is refused, or takes more approvals than that of the lane, as the document
// says. An emergency counts from when it was asked for, once it was authorized.
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
