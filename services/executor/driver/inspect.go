package driver

import (
	"context"
	"time"
)

// Inspector is a Driver that sees what somebody changed on its target besides putting another
// artifact there (N-08). One that is none can say what its target carries, and no more.
type Inspector interface {
	// Inspect says what is not as the newest complete change left it: a line for each place,
	// with whose it is where that is known, sorted, and without values; nil where all is. What
	// the target's own controllers change, such as the number of replicas that an autoscaler
	// has set, is nothing. It changes nothing and needs no fence. ErrUnknown where nobody can
	// tell, because a change is under way for instance.
	Inspect(ctx context.Context) ([]string, error)
}

// Patient is an Inspector whose looks take longer than others'.
type Patient interface {
	Inspector
	// Patience is how long one look may take.
	Patience() time.Duration
}
