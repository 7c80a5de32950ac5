package authorize_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// TestTheBusesOwnWordsAreForTheLog: callers are told what they can do, in words of ours,
// and operators find in the log what happened.
func TestTheBusesOwnWordsAreForTheLog(t *testing.T) {
	const inside = "nats: no responders on $JS.API.STREAM.MSG.GET.REL at 10.0.0.7:4222"
	for _, test := range []struct {
		err  error
		code codes.Code
		want string
	}{
		{eventstore.ErrUnavailable, codes.Unavailable, "cannot be reached"},
		{eventstore.ErrUndecided, codes.Unavailable, "not known whether"},
		{eventstore.ErrRefused, codes.ResourceExhausted, "takes nothing in"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "took too long"},
		{context.Canceled, codes.Canceled, "called off"},
		{errors.New("disk"), codes.Internal, "internal error"},
	} {
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		got := authorize.ToStatus(t.Context(), fmt.Errorf("append to rel.shop: %s: %w", inside, test.err))
		slog.SetDefault(before)
		if status.Code(got) != test.code || !strings.Contains(got.Error(), test.want) || strings.Contains(got.Error(), "10.0.0.7") {
			t.Errorf("%v is told as %v", test.err, got)
		}
		if !strings.Contains(log.String(), "10.0.0.7") {
			t.Errorf("%v is in the log as %q", test.err, log.String())
		}
	}
	// What the procedure says stays as it is.
	got := authorize.ToStatus(t.Context(), fmt.Errorf("%w: anna is the owner", procedure.ErrOwnChange))
	if want := "nobody approves their own change: anna is the owner"; status.Convert(got).Message() != want {
		t.Errorf("it is told as %q, want %q", status.Convert(got).Message(), want)
	}
}
