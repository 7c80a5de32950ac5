package execute

import (
	"context"
	"errors"
	"log/slog"

	"github.com/blackdice/shipwarden/internal/reactor"
)

// cannotTell is an error in words for the record: what nobody can tell of a wave, and why.
type cannotTell string

func (c cannotTell) Error() string { return string(c) }

// told is the error as it may stand in the record for good. What a client of the bus says, of
// addresses and subjects, goes to the log alone.
func told(ctx context.Context, t reactor.Task, err error) error {
	if _, ok := errors.AsType[cannotTell](err); ok {
		return err
	}
	slog.WarnContext(ctx, "what a claimed wave is judged by cannot be read", slog.String("release", t.State.Release), slog.Any("error", err))
	return cannotTell("what it is judged by cannot be read")
}
