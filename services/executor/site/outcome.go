package site

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/evidence"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// maxTheirs bounds each word on a change by hand, in bytes.
const maxTheirs = 110

// Retry reports whether an effect was not even tried, so that trying again is right.
func Retry(err error) bool {
	return errors.Is(err, driver.ErrBusy)
}

// Lost reports whether somebody newer has the target, so that this executor stops.
func Lost(err error) bool { return errors.Is(err, driver.ErrStaleFence) }

// Result turns what a driver answered into what is recorded of a target. The output
// is kept as evidence; where that fails, the result stands without it and says so, because
// what happened to production must not get lost with what was printed about it.
func (s *Site) Result(ctx context.Context, target string, fence driver.Fence, r driver.Result, failure error, started, ended time.Time) *releasev1.TargetResult {
	out := &releasev1.TargetResult{
		Target: target, Status: releasev1.TargetResult_STATUS_DONE, Digest: r.Digest, Message: Line(r.Message),
		Started: timestamppb.New(started), Ended: timestamppb.New(ended), Fence: fence.Sequence,
	}
	switch {
	case failure == nil:
	case errors.Is(failure, driver.ErrUnknown):
		out.Status, out.Message = releasev1.TargetResult_STATUS_UNKNOWN, Line(failure.Error())
	default:
		out.Status, out.Message = releasev1.TargetResult_STATUS_FAILED, Line(failure.Error())
	}
	if m := (*driver.ManualChange)(nil); errors.As(failure, &m) && out.GetStatus() == releasev1.TargetResult_STATUS_FAILED {
		out.ManualChange = &releasev1.ManualChange{Object: cut(m.Object, maxTheirs), Field: cut(m.Field, maxTheirs), Manager: cut(m.Manager, maxTheirs)}
		// Together they take no more room than a line, which is kept for each target.
		out.Message = cut(out.GetMessage(), maxLine-proto.Size(out.GetManualChange())-len("tag"))
	}
	if len(r.Output) > 0 {
		ref, err := s.Blobs.Put(ctx, "text/plain; charset=utf-8", "output of "+target, r.Output)
		if err != nil {
			slog.WarnContext(ctx, "the driver's output is not kept", slog.String("target", target), slog.Any("error", err))
			out.Message = Line("what the driver printed is not kept (" + evidence.Digest(r.Output) + "): " + evidence.Why(err) + "; " + out.GetMessage())
		}
		out.Output = ref
	}
	return out
}
