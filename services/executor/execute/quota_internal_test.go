package execute

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhichEmergenciesPrecedeAnother (N-04): never more than step 3 counts, or an emergency
// that was cleared rightly would be refused at its start.
func TestWhichEmergenciesPrecedeAnother(t *testing.T) {
	requested := proceduretest.Start
	own := procedure.State{Request: proceduretest.Request(proceduretest.Emergency), RequestedAt: requested}
	for _, c := range []struct {
		name   string
		change func(s *procedure.State, at *uint64)
		want   bool
	}{
		{"an hour before", func(*procedure.State, *uint64) {}, true},
		{"at the same moment, and first in the stream", func(s *procedure.State, _ *uint64) { s.RequestedAt = requested }, true},
		{"later in the stream, by a clock that was set back", func(_ *procedure.State, at *uint64) { *at = 8 }, false},
		{"earlier in the stream, by a clock that was set back since", func(s *procedure.State, _ *uint64) { s.RequestedAt = requested.Add(1) }, false},
		{"a period before", func(s *procedure.State, _ *uint64) { s.RequestedAt = requested.Add(-24 * time.Hour) }, false},
		{"just within the period", func(s *procedure.State, _ *uint64) { s.RequestedAt = requested.Add(-24*time.Hour + 1) }, true},
		{"planned", func(s *procedure.State, _ *uint64) { s.Request = proceduretest.Request() }, false},
		{"of another service", func(s *procedure.State, _ *uint64) { s.Request.Service = "mail" }, false},
		{"to another environment", func(s *procedure.State, _ *uint64) { s.Request.Environment = "staging" }, false},
		{"over, and never authorized", func(s *procedure.State, _ *uint64) { s.Outcome = releasev1.Outcome_OUTCOME_REJECTED }, false},
		{"over, and authorized", func(s *procedure.State, _ *uint64) {
			s.Outcome, s.Authorized = releasev1.Outcome_OUTCOME_ROLLED_BACK, &releasev1.Authorized{}
		}, true},
		{"on no record", func(s *procedure.State, _ *uint64) { *s = procedure.State{} }, false},
	} {
		at := uint64(6)
		s := procedure.State{Request: proceduretest.Request(proceduretest.Emergency), RequestedAt: requested.Add(-time.Hour)}
		c.change(&s, &at)
		if got := precedes(s, at, own, 7, requested.Add(-24*time.Hour)); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
