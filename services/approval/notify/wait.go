package notify

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// deferral is when a channel is told of a notice that is not told now, and why; nil where
// it is. A start that waits for somebody to be told is told at once, and so is whoever
// keeps alarms: those are no news to be read later. One that was begun to be sent is not
// put off any more, or it would come twice.
func (s shell) deferral(ctx context.Context, c *policyv1.Channel, x raised, now procedure.State, starts bool) (*releasev1.Deferral, error) {
	at := s.now()
	d := waits(c, x, now, at, starts)
	if d == nil || s.keepsAlarms(c.GetName()) || !d.GetUntil().AsTime().After(at) {
		return nil, nil
	}
	begun, err := s.ledger.Begun(ctx, x.key()+"/"+c.GetName())
	if begun || err != nil {
		return nil, err
	}
	return d, nil
}

// waits is the rule of it: a function of the document, the release and the time.
func waits(c *policyv1.Channel, x raised, now procedure.State, at time.Time, starts bool) *releasev1.Deferral {
	d := &releasev1.Deferral{Channel: c.GetName()}
	if x.notice.Occasion == releasev1.Occasion_OCCASION_CORRECTION {
		// Whoever has not heard of the start hears of both together.
		until, ok := now.Waits(releasev1.Occasion_OCCASION_START, c.GetName())
		if !ok {
			return nil
		}
		d.Until, d.Reason = timestamppb.New(until), releasev1.Deferral_REASON_FOLLOWS
		return d
	}
	if starts || !procedure.MayWait(x.state, x.notice.Occasion) {
		return nil
	}
	until, reason := at, releasev1.Deferral_REASON_UNSPECIFIED
	if every := c.GetDigest().GetEvery().AsDuration(); every > 0 {
		until, reason = nextMultiple(at, every), releasev1.Deferral_REASON_DIGEST
	}
	// What waited for the end of the hours goes out then and gathers no more; what is
	// gathered does not go out within them. Hours that nobody understands, which no document
	// has that was checked, are none.
	for _, from := range []time.Time{at, until} {
		if quiet, err := freeze.QuietUntil(c.GetQuietHours(), from); err == nil && quiet.After(from) {
			until, reason = quiet, releasev1.Deferral_REASON_QUIET_HOURS
			break
		}
	}
	if len(c.GetQuietHours()) > 0 {
		d.ZoneData = freeze.ZoneData()
	}
	d.Until, d.Reason = timestamppb.New(until), reason
	return d
}

// nextMultiple is the next moment that is a multiple of a duration since 1970.
func nextMultiple(at time.Time, every time.Duration) time.Time {
	return time.Unix(0, at.UnixNano()-at.UnixNano()%int64(every)).Add(every).UTC()
}
