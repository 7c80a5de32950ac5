package apart

import (
	"context"
	"fmt"
)

var (
	// turn is had by whoever has a process: of two at once neither would be bounded.
	turn = make(chan struct{}, 1)
	// questions is had besides by whoever is not about to change anything. Previews are made of whatever
	// is asked for, as many as are asked for: of them one is ahead of a change at most.
	questions = make(chan struct{}, 1)
)

type changes struct{}

// ForAChange is a context of who is about to change a target, or to take it back: he waits behind no
// previews but the one that is being made.
func ForAChange(ctx context.Context) context.Context { return context.WithValue(ctx, changes{}, true) }

// take waits for a turn. Whoever has it gives it back by done.
func take(ctx context.Context) (done func(), err error) {
	rooms := []chan struct{}{questions, turn}
	if ctx.Value(changes{}) != nil {
		rooms = rooms[1:]
	}
	var taken []chan struct{}
	done = func() {
		// The turn first: whoever waits for it alone has it then.
		for i := range taken {
			<-taken[len(taken)-1-i]
		}
	}
	for _, room := range rooms {
		select {
		case room <- struct{}{}:
			taken = append(taken, room)
		case <-ctx.Done():
			done()
			return nil, fmt.Errorf("another chart is read: %w", context.Cause(ctx))
		}
	}
	return done, nil
}
