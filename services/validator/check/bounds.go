package check

import (
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// How long one sample may take where the check does not say, and at most.
const (
	DefaultTimeout = 5 * time.Second
	MaxTimeout     = 60 * time.Second
)

// Timeout returns how long one sample may take. A check that asks for nothing, or for
// something impossible, gets the default; no check gets more than the maximum.
func Timeout(asked *durationpb.Duration) time.Duration {
	d := asked.AsDuration()
	if asked == nil || asked.CheckValid() != nil || d <= 0 {
		return DefaultTimeout
	}
	return min(d, MaxTimeout)
}

// ExpectedStatus returns the status that an HTTP check expects.
func ExpectedStatus(p *releasev1.HttpProbe) uint32 {
	if status := p.GetExpectStatus(); status != 0 {
		return status
	}
	return http.StatusOK
}
