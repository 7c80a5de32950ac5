package reactor

import (
	"context"
	"sync"
)

// Turns lets one goroutine at a time work on one release. It spares work, and
// nothing rests on it: between processes the conditions on the stream decide.
type Turns struct {
	mu   sync.Mutex
	held map[string]*turn
}

// turn is there as long as somebody has it or waits for it.
type turn struct {
	token chan struct{}
	users int
}

// NewTurns returns turns that nobody has taken.
func NewTurns() *Turns { return &Turns{held: map[string]*turn{}} }

// Take waits for the name's turn and returns the function that ends it, or the
// context's error.
func (t *Turns) Take(ctx context.Context, name string) (func(), error) {
	t.mu.Lock()
	own := t.held[name]
	if own == nil {
		own = &turn{token: make(chan struct{}, 1)}
		t.held[name] = own
	}
	own.users++
	t.mu.Unlock()
	select {
	case own.token <- struct{}{}:
		return func() {
			<-own.token
			t.leave(name, own)
		}, nil
	case <-ctx.Done():
		t.leave(name, own)
		return nil, ctx.Err()
	}
}

func (t *Turns) leave(name string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.held, name)
	}
}
