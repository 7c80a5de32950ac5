package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// ErrMissing says that nothing is stored under a digest.
var ErrMissing = errors.New("nothing is stored under it")

// Blobs returns what is stored under a digest, or ErrMissing. What it returns is not
// believed.
type Blobs func(ctx context.Context, digest string) ([]byte, error)

// Replayer replays releases. It is not safe for concurrent use. Documents and trusted
// roots are read once for all releases.
type Replayer struct {
	ring      *envelope.Keyring
	blobs     Blobs
	documents *policy.Source
	roots     map[string]*sigstore.Root
	inputs    map[string]bool
	// signers are whose keys count besides those of the documents; nil for theirs alone.
	signers *policy.Index
	// trusted are the roots that bundles of approvals are verified with; nil for those that
	// the documents name.
	trusted sigstore.Roots
}

// New returns a replayer that believes the signatures of that keyring.
func New(ring *envelope.Keyring, blobs Blobs) *Replayer {
	r := &Replayer{ring: ring, blobs: blobs, roots: map[string]*sigstore.Root{}, inputs: map[string]bool{}}
	r.documents = policy.NewSource(r.blob)
	return r
}

// Signers has the signatures of approvals verified with these keys as well: the procedure
// document comes from the same hands as the record, and these need not.
func (r *Replayer) Signers(signers *policy.Index) { r.signers = signers }

// Roots has bundles of approvals verified with these trusted roots alone. Where signers are
// given, and no roots, bundles count for nothing: a root that came with the record would be
// one of the same hands.
func (r *Replayer) Roots(trusted sigstore.Roots) { r.trusted = trusted }

// blob reads what is stored under a digest, and compares the two. Errors that wrap
// errInput say something of what is stored; others say nothing.
func (r *Replayer) blob(ctx context.Context, digest string) ([]byte, error) {
	content, err := r.blobs(ctx, digest)
	if errors.Is(err, ErrMissing) {
		return nil, fmt.Errorf("%w %s: %w", errInput, digest, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read evidence %s: %w", digest, err)
	}
	sum := sha256.Sum256(content)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != digest {
		return nil, fmt.Errorf("%w %s: what is stored has the digest %s", errInput, digest, got)
	}
	r.inputs[digest] = true
	return content, nil
}

// errInput says that an input is missing, or is not what it should be.
var errInput = errors.New("input")

// Release replays a release from its messages, sealed and in the order of the stream. An
// error says that something could not be read just now, and nothing about the release.
func (r *Replayer) Release(ctx context.Context, release string, messages []*recorderv1.RecordedEvent) (Report, error) {
	clear(r.inputs)
	p := &pass{Replayer: r, report: Report{Release: release}, state: procedure.State{Release: release}}
	var last uint64
	for _, m := range messages {
		if m.GetSequence() <= last {
			p.differs(m, "comes after event %d", last)
		}
		last = m.GetSequence()
		if err := p.message(ctx, m); err != nil {
			return Report{}, fmt.Errorf("event %d: %w", m.GetSequence(), err)
		}
	}
	p.report.AsOfSequence, p.report.Inputs = last, len(r.inputs)
	return p.report, nil
}

// pass is one release under way.
type pass struct {
	*Replayer
	report Report
	state  procedure.State
	// shown are the states that approvers can have been shown since something other than
	// an approval happened.
	shown []procedure.State
	// all is the release as the recorder has it, for the digest of its record.
	all []view.Recorded
	// unkept is why a digest of the event in work need not lead anywhere, by the event.
	unkept map[string]string
}

func (p *pass) differs(m *recorderv1.RecordedEvent, format string, args ...any) {
	p.report.Decisions = append(p.report.Decisions, Decision{
		Sequence: m.GetSequence(), Type: typeIn(m), Result: Differs, Detail: fmt.Sprintf(format, args...),
	})
}

// typeIn is the type that a message's subject says, for one whose body says nothing.
func typeIn(m *recorderv1.RecordedEvent) string {
	return m.GetSubject()[strings.LastIndexByte(m.GetSubject(), '.')+1:]
}

// message verifies and folds one message, and replays what it says where it counts.
func (p *pass) message(ctx context.Context, m *recorderv1.RecordedEvent) error {
	recorded := view.Recorded{
		Entry:   procedure.Entry{Sequence: m.GetSequence(), Digest: sha256.Sum256(m.GetBody()), Stored: m.GetStored().AsTime()},
		Subject: m.GetSubject(), SignedBy: m.GetSignedBy(), Rejected: m.GetRejected(),
	}
	if got := recorded.Digest(); got != m.GetDigest() {
		p.differs(m, "the stored bytes of the event have the digest %s, recorded is %s", got, m.GetDigest())
		return nil
	}
	entry, reason := envelope.Reopen(p.ring, m.GetSubject(), m.GetSignedBy(), m.GetSignature(), m.GetBody(), m.GetSequence(), m.GetStored().AsTime())
	next := p.state
	if reason == nil {
		recorded.Entry = entry
		if !proto.Equal(entry.Event, m.GetEvent()) {
			p.differs(m, "the recorder shows another event than the one that was signed")
			return nil
		}
		next, reason = procedure.Evolve(p.state, entry)
	}
	p.all = append(p.all, recorded)
	switch {
	case recorded.Entry.Event == nil && m.GetEvent() != nil:
		p.differs(m, "it is not authentic: %v", reason)
		return nil
	case reason != nil && m.GetRejected() == "":
		p.differs(m, "it does not count: %v", reason)
		return nil
	case reason != nil:
		p.report.Uncounted++
		return nil //nolint:nilerr // It is in the report.
	case m.GetRejected() != "":
		p.differs(m, "it counts, and the record says that it does not: %s", m.GetRejected())
	}
	before := p.state
	p.state = next
	d, err := p.decision(ctx, before, entry)
	if err != nil {
		return err
	}
	p.report.Decisions = append(p.report.Decisions, d)
	p.see(entry.Event)
	return nil
}

// decision replays what an event says that counts.
func (p *pass) decision(ctx context.Context, before procedure.State, e procedure.Entry) (Decision, error) {
	d := Decision{Sequence: e.Sequence, Type: procedure.TypeOf(e.Event)}
	p.unkept = map[string]string{}
	for _, u := range e.Event.GetUnkept() {
		p.unkept[u.GetDigest()] = u.GetReason()
	}
	err := p.evidence(ctx, e.Event)
	if err == nil {
		err = p.judge(ctx, &d, before, e)
	}
	switch {
	case errors.Is(err, errUnkept):
		d.Result, d.Detail, d.Taken = Taken, "", []string{err.Error()}
	case errors.Is(err, errInput), errors.Is(err, errDiffers), errors.Is(err, policy.ErrInvalid):
		d.Result, d.Detail, d.Taken = Differs, err.Error(), nil
	case err != nil:
		return d, err
	}
	return d, nil
}

// see keeps what approvers can have been shown.
func (p *pass) see(e *releasev1.Event) {
	if p.state.Phase != procedure.PhaseApprove || e.GetApprovalGiven() == nil {
		p.shown = nil
	}
	if p.state.Phase == procedure.PhaseApprove {
		p.shown = append(p.shown, p.state)
	}
}
