// Package gates is the shell of step 1: it fetches the evidence that came with a
// release and lets every required gate judge it (PD-1.1 to PD-1.3).
//
// It wakes on requested, and appends gates_confirmed or gates_refused. Evidence
// that cannot be read from the store just now is a transient error, but for an emergency; evidence that
// proves nothing is a verdict. Where the procedure document demands it, the change record
// is looked up in the system that keeps it, whose answer becomes evidence, and where it
// says so, what registries keep beside images is evidence as well. Where all that is
// missing may still come, by the time that the document grants, it appends gates_held, and
// evidence_added wakes it. It appends that itself where evidence is there after all of which
// the release says that it could not be kept.
package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrNoRoot says that the trusted root that a document names cannot be read just now, or is
// not kept: it is when the document takes effect.
var ErrNoRoot = errors.New("read the trusted root")

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Reader gives stored evidence by its digest.
type Reader interface {
	Get(ctx context.Context, digest string) ([]byte, error)
}

// Blobs keeps evidence as well.
type Blobs interface {
	Reader
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// New returns the step. Change records are looked up through the connectors. The finder
// asks registries; without one, none is asked.
func New(procedures Procedures, blobs Blobs, connectors changerecord.Connectors, finder ...Finder) reactor.Step {
	s := &shell{procedures: procedures, blobs: blobs, keeper: blobs, connectors: connectors, roots: sigstore.NewShelf(blobs.Get)}
	if len(finder) > 0 {
		s.finder = finder[0]
	}
	return reactor.Step{ID: procedure.StepGates, Act: s.act}
}

type shell struct {
	procedures Procedures
	blobs      Reader
	keeper     Blobs
	connectors changerecord.Connectors
	finder     Finder
	roots      *sigstore.Shelf
	// dry says that somebody merely asks, and waits so long for others; saw is told what was
	// found.
	dry    bool
	within time.Duration
	saw    Saw
}

// trust gathers what evidence is judged by. The trusted root was stored when the
// document took effect, so that a verdict can be derived again for as long as both are
// kept.
func (s *shell) trust(ctx context.Context, index *policy.Index) (verdict.Trust, error) {
	trust := verdict.Trust{Index: index}
	digest := index.Document().GetSigstore().GetTrustedRoot()
	if digest == "" {
		return trust, nil
	}
	var err error
	if trust.Root, err = s.roots.Root(ctx, digest); err != nil && !errors.Is(err, sigstore.ErrRoot) {
		return trust, fmt.Errorf("%w: %w", ErrNoRoot, err)
	}
	return trust, err
}

func (s *shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	if found, err := s.back(ctx, t); err != nil || found != nil {
		return found, err
	}
	trust, envelopes, unread, err := s.proof(ctx, t, index)
	if err != nil {
		return nil, err
	}
	looked, unkept, err := s.records(ctx, t, index)
	if err != nil {
		return nil, err
	}
	beside, err := s.beside(ctx, t, index)
	if err != nil {
		return nil, err
	}
	if s.saw.Judge != nil {
		alone := beside
		s.saw.Judge(func(at time.Time) []*releasev1.GateVerdict {
			event := judge(trust, t.State, envelopes, alone, at, false)
			return slices.Concat(event.GetGatesConfirmed().GetVerdicts(), event.GetGatesRefused().GetVerdicts())
		})
	}
	beside.Records = looked
	event := judge(trust, t.State, envelopes, beside, t.Now, !s.dry)
	event.Unkept = slices.Concat(unkept, beside.Unkept, unread)
	return []eventstore.Draft{t.Draft(event)}, nil
}

// Judge is step 1 without its reading: the event that follows from the evidence at that
// time. It depends on its arguments alone, and is what a replay calls, too (N-01), with
// Trust.Lost as Unread says.
func Judge(trust verdict.Trust, state procedure.State, envelopes [][]byte, beside Beside, now time.Time) *releasev1.Event {
	return judge(trust, state, envelopes, beside, now, true)
}

// there is the evidence of a release without what could not be kept, of which the verdicts
// say so.
func there(state procedure.State) []*releasev1.EvidenceRef {
	return slices.DeleteFunc(state.Evidence(), func(ref *releasev1.EvidenceRef) bool { return state.UnkeptReason(ref.GetDigest()) != "" })
}

// lost says what came with the request and is not there. Whatever it would have proved,
// nobody knows.
func lost(state procedure.State) string {
	for _, ref := range state.Evidence() {
		if why := state.UnkeptReason(ref.GetDigest()); why != "" {
			return fmt.Sprintf("the evidence %.19s… came and could not be kept: %s", ref.GetDigest(), why)
		}
	}
	return ""
}

// judge is Judge, which need not wait for what may still come.
func judge(trust verdict.Trust, state procedure.State, envelopes [][]byte, beside Beside, now time.Time, waits bool) *releasev1.Event {
	trust.Unseen = map[string]string{}
	if trust.Lost == "" {
		trust.Lost = lost(state)
	}
	for _, u := range beside.Unseen {
		trust.Unseen[u.GetArtifact()] = u.GetReason()
	}
	required := trust.Index.GatesFor(state.Request)
	verdicts := verdict.Evaluate(trust, required, state.Request, slices.Concat(envelopes, beside.Statements), now)
	verdicts = append(verdicts, beside.Records...)
	verdicts, whole := verdict.Fit(verdicts, beside.size())
	if held := wait(trust.Index, state, verdicts, whole, now); held != nil && waits {
		return held
	}
	event := procedure.DecideGates(state, verdicts, func(gate string) bool {
		return whole && (trust.Index.Gate(gate).GetBypassable() || trust.Index.ChangeRecordRule(gate).GetBypassable())
	})
	if d := event.GetGatesConfirmed(); d != nil {
		d.Found, d.Unseen = beside.Found, beside.Unseen
	}
	if d := event.GetGatesRefused(); d != nil {
		d.Found, d.Unseen = beside.Found, beside.Unseen
	}
	return event
}
