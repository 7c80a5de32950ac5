package natstest

import "go.uber.org/goleak"

// Leftovers are goroutines of the embedded server that may outlive its end, where a stream was made
// while it went down: it does not close the store of such a stream. They are none of whoever is
// tested.
func Leftovers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
	}
}
