package chaos

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// requests counts those that the bus has and of which no release was made, or that
// were never answered, or answered wrongly.
func (b *bench) requests(ctx context.Context, js jetstream.JetStream) error {
	asked, missing, err := readAll(ctx, js, eventstore.StreamRequests)
	if err != nil {
		return err
	}
	b.holes(eventstore.StreamRequests, missing)
	// The stream of answers drops old ones by itself.
	given, _, err := readAll(ctx, js, eventstore.StreamAnswers)
	if err != nil {
		return err
	}
	answers := map[string][]*releasev1.Answer{}
	for _, m := range given {
		a := &releasev1.Answer{}
		if err := protojson.Unmarshal(m.Data, a); err == nil {
			answers[strings.TrimPrefix(m.Subject, "answer.")] = append(answers[strings.TrimPrefix(m.Subject, "answer.")], a)
		}
	}
	seen := map[string]bool{}
	for _, m := range asked {
		r := &releasev1.Request{}
		if err := protojson.Unmarshal(m.Data, r); err != nil {
			continue
		}
		release := procedure.ReleaseID(r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey())
		if seen[release] {
			continue
		}
		seen[release] = true
		b.Asked++
		if b.states[release].Phase == procedure.PhaseClosed {
			b.Settled++
		}
		if b.states[release].Phase == procedure.PhaseNone {
			b.count(&b.Lost, "lost", "request %d made no release %s", m.Sequence, release)
		}
		all := answers[r.GetEnvironment()+"."+r.GetService()+"."+r.GetIdempotencyKey()]
		if len(all) == 0 {
			b.count(&b.Lost, "lost", "request %d (%s) was never answered", m.Sequence, release)
		}
		for _, a := range all {
			if a.GetRelease() != release {
				b.count(&b.Lost, "lost", "request %d was answered with %s %q, and is %s", m.Sequence, a.GetOutcome(), a.GetRelease(), release)
			}
		}
	}
	for _, c := range b.calls {
		if c.Op == opRequest && c.Answer == ok && !seen[c.Release] {
			b.count(&b.Lost, "lost", "the bus took the request for %s, and does not have it", c.Release)
		}
	}
	for release := range b.states {
		if !seen[release] && b.states[release].Phase != procedure.PhaseNone {
			b.count(&b.Unapproved, "unapproved", "%s was made of no request", release)
		}
	}
	return nil
}
