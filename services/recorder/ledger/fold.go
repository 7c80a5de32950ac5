package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// maxLate is how much older than its storing an event may be, as in releases.
const maxLate = 10 * time.Minute

// history is a release through its events on record.
type history struct {
	// people and digests are how many of each are on record already.
	people, digests int

	timeline *view.Timeline
	rejected uint32
	// touched is the last message of the batch that touched it last.
	touched uint64
}

// head is the newest event that counts of any other aggregate.
type head struct {
	seq    uint64
	digest [32]byte
}

// admits returns nil for an event that may follow: these events form a chain, as
// those of a release do, and a copy of an older one does not follow the newest. An
// event from long ago is a replay in any case.
func (h head) admits(e procedure.Entry) error {
	p := e.Event.GetPrevious()
	if p.GetSequence() != h.seq || h.seq != 0 && !slices.Equal(p.GetSha256(), h.digest[:]) {
		return procedure.ErrNotHead
	}
	if at := e.Event.GetTime().AsTime(); at.Before(e.Stored.Add(-maxLate)) {
		return fmt.Errorf("%w: happened %s, stored %s", procedure.ErrClockSkew, at, e.Stored)
	}
	return nil
}

// batch is what a number of messages come to: rows to add, and what they touch.
type batch struct {
	rows       []row
	last       uint64
	touched    []*history // in the order in which they were touched first
	targets    map[string]targetRow
	artifacts  map[string]artifactRow
	refusals   []row
	procedures []procedureRow
	rejected   int
}

// row is a message with the decision on it.
type row struct {
	Message

	aggregate, kind string
	rejected        error
}

// identity is the event's id and type; none of what is not authentic.
func (r *row) identity() (id, kind string) {
	if r.Refused != nil {
		return "", ""
	}
	return clean(r.Entry.Event.GetId()), procedure.TypeOf(r.Entry.Event)
}

type targetRow struct {
	seq   uint64
	lock  string
	state *releasev1.TargetState
}

type procedureRow struct {
	seq             uint64
	digest, version string
}

// newBatch sorts messages by what they belong to; nothing is decided yet.
func newBatch(messages []Message) *batch {
	b := &batch{rows: make([]row, len(messages)), targets: map[string]targetRow{}, artifacts: map[string]artifactRow{}, last: messages[len(messages)-1].Sequence}
	for i, m := range messages {
		b.rows[i].Message, b.rows[i].rejected = m, m.Refused
		b.rows[i].aggregate, b.rows[i].kind = aggregateOf(m.Subject)
	}
	return b
}

// fold decides which messages count, in their order. Every aggregate that they
// belong to must be in memory.
func (l *Ledger) fold(b *batch) error {
	for i := range b.rows {
		r := &b.rows[i]
		if r.kind != kindRelease {
			l.foldOther(b, r)
		} else if err := l.foldRelease(b, r); err != nil {
			return err
		}
		if r.rejected != nil {
			b.rejected++
		}
	}
	return nil
}

func (l *Ledger) foldRelease(b *batch, r *row) error {
	h, ok := l.releases.get(releaseOf(r.aggregate))
	if !ok {
		return errNotLoaded // A new one would hide events.
	}
	if r.rejected == nil {
		r.rejected = h.timeline.Add(r.Entry)
	}
	if r.rejected != nil {
		h.rejected++
	}
	if h.touched != b.last {
		h.touched = b.last
		b.touched = append(b.touched, h)
	}
	return nil
}

// foldOther folds aggregates whose events carry their whole state: the newest that
// counts is all that matters.
func (l *Ledger) foldOther(b *batch, r *row) {
	if r.rejected != nil {
		return
	}
	h, _ := l.heads.get(r.aggregate)
	if r.rejected = h.admits(r.Entry); r.rejected != nil {
		return
	}
	l.heads.put(r.aggregate, head{seq: r.Sequence, digest: r.Entry.Digest})
	switch d := r.Entry.Event.GetData().(type) {
	case *releasev1.Event_TargetLocked:
		b.targets[r.aggregate] = targetRow{r.Sequence, d.TargetLocked.GetRelease(), d.TargetLocked.GetState()}
	case *releasev1.Event_TargetUnlocked:
		b.targets[r.aggregate] = targetRow{r.Sequence, "", d.TargetUnlocked.GetState()}
	case *releasev1.Event_ArtifactQuarantined, *releasev1.Event_ClearanceProposed, *releasev1.Event_QuarantineCleared:
		// One that is only an image of an index was never in quarantine by itself.
		if q := procedure.QuarantineOf(r.Entry.Event); r.kind == kindArtifact && (q.Held || q.LetOut()) {
			b.artifacts[r.aggregate] = artifactRow{r.Sequence, r.Stored, q}
		}
	case *releasev1.Event_RequestRefused:
		b.refusals = append(b.refusals, *r)
	case *releasev1.Event_ProcedureActivated:
		b.procedures = append(b.procedures, procedureRow{r.Sequence, d.ProcedureActivated.GetDigest(), d.ProcedureActivated.GetVersion()})
	}
}
