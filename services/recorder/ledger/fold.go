package ledger

import (
	"errors"
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
	touched    []string // releases, in the order in which they were touched first
	targets    map[string]targetRow
	refusals   []row
	procedures []procedureRow
	rejected   int
}

// row is a message with the decision on it.
type row struct {
	Message

	aggregate string
	rejected  error
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

// fold decides which messages count, in their order. Every aggregate that they
// belong to must be in memory.
func (l *Ledger) fold(messages []Message) *batch {
	b := &batch{rows: make([]row, 0, len(messages)), targets: map[string]targetRow{}}
	for _, m := range messages {
		aggregate, kind := aggregateOf(m.Subject)
		r := row{Message: m, aggregate: aggregate, rejected: m.Refused}
		if kind == kindRelease {
			l.foldRelease(b, &r)
		} else {
			l.foldOther(b, &r)
		}
		if r.rejected != nil {
			b.rejected++
		}
		b.rows = append(b.rows, r)
	}
	return b
}

func (l *Ledger) foldRelease(b *batch, r *row) {
	release := releaseOf(r.aggregate)
	h, ok := l.releases.get(release)
	if !ok {
		// Cannot be: whoever folds has loaded. A new one would hide events.
		r.rejected = errors.Join(r.rejected, errNotLoaded)
		return
	}
	if r.rejected == nil {
		r.rejected = h.timeline.Add(r.Entry)
	}
	if r.rejected != nil {
		h.rejected++
	}
	if !slices.Contains(b.touched, release) {
		b.touched = append(b.touched, release)
	}
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
	case *releasev1.Event_RequestRefused:
		b.refusals = append(b.refusals, *r)
	case *releasev1.Event_ProcedureActivated:
		b.procedures = append(b.procedures, procedureRow{r.Sequence, d.ProcedureActivated.GetDigest(), d.ProcedureActivated.GetVersion()})
	}
}
