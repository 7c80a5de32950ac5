package eventstore

import (
	"context"
	"errors"
	"slices"
)

// trace collects the messages of an aggregate after a sequence up to the one given, in
// the order of the stream, and reports whether it could. It goes backwards: a message
// that was stored on a condition names the one before it in its headers, and the server
// stored it only because there was none between. So each step is one read by sequence,
// which costs the same whatever else is in the stream; the server finds the next message
// of an aggregate only by looking at all that came since, while nobody else can read.
//
// Where a message names none, because somebody stored it without a condition, the trace
// is lost and the history has to be read forwards. How far a condition can be relied on
// is said at [Store.LoadCounted].
func (s *Store) trace(ctx context.Context, aggregate string, after uint64, until stored) ([]stored, bool, error) {
	var out []stored
	for m := until; ; {
		before, known := m.follows(aggregate)
		if !known || before < after || len(out) >= MaxHistory {
			return nil, false, nil
		}
		out = append(out, m)
		if before == after {
			slices.Reverse(out)
			return out, true, nil
		}
		var err error
		if m, err = s.at(ctx, before); errors.Is(err, errNoMessage) {
			return nil, false, nil
		} else if err != nil {
			return nil, false, err
		}
	}
}
