package approvaltest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/blackdice/shipwarden/internal/natstest"
)

// Main runs the tests of a package and fails where they leave goroutines behind. One
// is let pass: the object store publishes asynchronously, and where its connection is
// closed right after the first document was put, the client library's goroutine that
// watches the connection finds nothing to watch and waits for ever. So are those that servers
// leave (natstest.Leftovers).
func Main(m *testing.M) {
	goleak.VerifyTestMain(m, append(natstest.Leftovers(),
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))...)
}
