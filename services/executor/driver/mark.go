package driver

import "context"

// Marked is a Driver whose target can be set back by whoever administers it to what it was, so that
// it has forgotten whom it let in since, and who has looked before alone could miss it.
type Marked interface {
	// Mark says in words of the driver's own how far the target remembers; "" where it remembers
	// nothing, or cannot be set back.
	Mark(ctx context.Context) (string, error)
	// Remembers is nil where the target remembers no less than when that was its mark. Where it does
	// the error wraps ErrConflict.
	Remembers(ctx context.Context, mark string) error
}
