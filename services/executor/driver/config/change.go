package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nuid"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// again is the pause before an entry is read again that somebody wrote at the same time.
const again = 10 * time.Millisecond

// change is one call of Apply or Rollback.
type change struct {
	key      driver.Key
	fence    driver.Fence
	digest   string // what the target is to carry
	rollback bool
	plan     driver.Plan
	// write is the name of the write.
	write string
	// document is what is written, as soon as it is known.
	document []byte
	// sent is the error of a write of which nobody knows yet what became of it.
	sent error
	// passed are the points that were passed before the entry was read again.
	passed []string
}

// pass tells of a point, the first time.
func (d *Driver) pass(c *change, point string) {
	if !slices.Contains(c.passed, point) {
		c.passed = append(c.passed, point)
		d.at(point)
	}
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	err := check(plan)
	var result driver.Result
	if err == nil {
		result, err = d.change(ctx, &change{key: key, fence: f, digest: plan.Artifact.Digest, plan: plan})
	}
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, err)
	}
	return result, nil
}

// Rollback implements driver.Driver.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	c := &change{key: key, fence: f, digest: plan.Previous, rollback: true, plan: plan}
	var result driver.Result
	_, err := artifact.Hex(plan.Previous)
	switch {
	case plan.Previous == "":
		err = fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	case err != nil:
		err = fmt.Errorf("previous: %w: %w", driver.ErrInvalid, err)
	default:
		result, err = d.change(ctx, c)
	}
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, err)
	}
	return result, nil
}

// change reads, judges and writes until it is done or must not be.
func (d *Driver) change(ctx context.Context, c *change) (driver.Result, error) {
	if c.key.IsRollback() != c.rollback {
		return driver.Result{}, fmt.Errorf("key %s: %w", c.key, driver.ErrInvalid)
	}
	c.write = nuid.Next()
	ctx, cancel := d.patient(ctx)
	defer cancel()
	for {
		result, done, err := d.attempt(ctx, c)
		if done || err != nil {
			return result, c.unsure(err)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// unsure says what an error means after a write of which nobody knows what became: it may be
// there, or come.
func (c *change) unsure(err error) error {
	switch {
	case err == nil:
		return nil
	case c.sent != nil && !errors.Is(err, driver.ErrStaleFence):
		return fmt.Errorf("%w: %w (%w)", driver.ErrUnknown, c.sent, err)
	case errors.Is(err, bucket.ErrUnavailable):
		return fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	return err
}

// attempt reads the entry once and writes it once at most. It is not done where somebody else
// wrote in between, or where no answer came.
func (d *Driver) attempt(ctx context.Context, c *change) (result driver.Result, done bool, err error) {
	s, err := d.load(ctx)
	if err != nil {
		return result, false, err
	}
	d.pass(c, PointRead)
	if c.sent != nil && s.note.Write == c.write {
		c.sent = nil
		return d.look(ctx, c, s.Sequence)
	}
	next, finished, repeated, err := d.judge(s, c)
	if err != nil {
		return result, false, err
	}
	d.pass(c, PointAdmitted)
	if finished && next.same(s.note) {
		return driver.Result{Digest: c.digest, Message: "carries " + c.digest + " already", Repeated: true}, true, nil
	}
	document := s.Value
	if !finished {
		if document, err = d.document(ctx, c); err != nil {
			return result, false, err
		}
	}
	if s.Digest == c.digest && !c.rollback {
		if err := d.keeps(ctx, s.note.Before, c.plan.Previous); err != nil {
			return already(c, repeated, err)
		}
	}
	d.pass(c, PointChecked)
	next.Write = c.write
	sequence, err := d.write(ctx, s.Sequence, next, document, true)
	switch {
	case errors.Is(err, bucket.ErrUnanswered):
		c.sent = err
		return result, false, nil
	case errors.Is(err, bucket.ErrRaced), errors.Is(err, bucket.ErrUnavailable) && ctx.Err() == nil:
		return result, false, nil
	case err != nil:
		return already(c, repeated, err)
	}
	c.sent = nil
	d.pass(c, PointWritten)
	result, done, err = d.look(ctx, c, sequence)
	result.Repeated = finished
	d.pass(c, PointDone)
	return result, done, err
}

// already is the answer where the entry cannot be written: an effect that was complete before
// is done, though it is not noted who asked again. Nobody whom the note would keep away can
// undo it: of the same effect there is nothing to undo, and everybody else was kept away when
// it was placed.
func already(c *change, repeated bool, err error) (driver.Result, bool, error) {
	if !repeated || !errors.Is(wrong(err), driver.ErrInvalid) {
		return driver.Result{}, false, wrong(err)
	}
	return driver.Result{
		Digest: c.digest, Message: fmt.Sprintf("carries %s already; that it was asked for again is not noted: %v", c.digest, err), Repeated: true,
	}, true, nil
}

// judge decides by what was read whether the call may change the target, and what is noted of
// it then. It is finished where the target carries what it should, and repeated where this
// effect placed it.
func (d *Driver) judge(s state, c *change) (next note, finished, repeated bool, err error) {
	if err := s.foreign(d.target); err != nil {
		return next, false, false, err
	}
	if err := s.forgotten(c.plan); err != nil {
		return next, false, false, err
	}
	record, repeated, err := s.note.Admit(c.key, c.fence, c.digest)
	if err != nil {
		return next, false, false, err
	}
	switch {
	case s.Digest == c.digest:
		finished = repeated || c.rollback
	case repeated:
		return next, false, false, byHand(s, "it was placed, and changed by hand since")
	case c.rollback && s.Digest != c.plan.Artifact.Digest:
		return next, false, false, byHand(s, "that is neither the release nor what was before it")
	case !c.rollback && !s.ours() && s.Digest != c.plan.Previous:
		return next, false, false, byHand(s, "that was written by hand")
	}
	next = note{Record: record, Target: d.target, Before: s.note.Before, Bucket: s.bucket}
	next.Done, next.Pending, next.Carries = true, false, c.digest
	if s.Digest != c.digest {
		next.Before = s.Digest
	}
	return next, finished, repeated, nil
}

func byHand(s state, why string) error {
	digest := s.Digest
	if digest == "" {
		digest = "nothing"
	}
	return fmt.Errorf("revision %d carries %s: %s: %w", s.Sequence, digest, why, driver.ErrConflict)
}

// document finds what is to be written, once: the artifact, checked, or what the bucket keeps.
func (d *Driver) document(ctx context.Context, c *change) ([]byte, error) {
	if c.document != nil {
		return c.document, nil
	}
	if !c.rollback {
		limits, err := d.usable(ctx)
		if err != nil {
			return nil, err
		}
		document, err := content(ctx, c.plan.Artifact, limits)
		if err != nil {
			return nil, err
		}
		if _, err := d.parse(c.plan.Artifact.Location, document); err != nil {
			return nil, err
		}
		c.document = document
		return document, nil
	}
	all, _, err := d.history(ctx)
	if err != nil {
		return nil, err
	}
	r, ok := find(all, c.digest)
	if ok {
		if r, err = d.entry.Read(ctx, r.Sequence); err != nil {
			return nil, wrong(err)
		}
	}
	if r.Digest != c.digest {
		return nil, fmt.Errorf("%s is not in the bucket's history any more: %w", c.digest, driver.ErrNoWayBack)
	}
	c.document = r.Value
	return r.Value, nil
}

// keeps refuses a write that changes no document and would push the only copy out of the
// history of something that a target goes back to.
func (d *Driver) keeps(ctx context.Context, needed ...string) error {
	limits, err := d.entry.Limits(ctx)
	if err != nil || limits.History > maxHistory {
		return wrong(err) // Such a bucket pushes nothing out that anybody goes back to.
	}
	all, limits, err := d.history(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 || len(all) < limits.History {
		return nil
	}
	for _, digest := range needed {
		if digest == "" || all[0].Digest != digest {
			continue
		}
		if _, there := find(all[1:], digest); !there {
			return fmt.Errorf("the bucket keeps %d revisions of the entry, and one more would push out %s, which is the way back: let it keep more: %w",
				limits.History, digest, driver.ErrInvalid)
		}
	}
	return nil
}

// write writes a document and its note as one.
func (d *Driver) write(ctx context.Context, after uint64, n note, document []byte, present bool) (uint64, error) {
	header, err := n.header()
	if err != nil {
		return 0, err
	}
	return d.entry.Put(ctx, bucket.Write{After: after, Value: document, Present: present, Header: header})
}

// look reads back what was written, and that it is there still.
func (d *Driver) look(ctx context.Context, c *change, sequence uint64) (driver.Result, bool, error) {
	result := driver.Result{Digest: c.digest, Message: fmt.Sprintf("carries %s, revision %d", c.digest, sequence)}
	s, err := d.load(ctx)
	if errors.Is(err, bucket.ErrUnavailable) {
		result.Message += "; it was stored, and could not be read back"
		return result, true, nil
	}
	if err != nil {
		return result, false, err
	}
	if err := s.note.Holds(c.key, c.fence); err != nil {
		return result, false, err
	}
	if s.Digest != c.digest {
		return result, false, byHand(s, fmt.Sprintf("revision %d placed %s, and somebody has changed it", sequence, c.digest))
	}
	return result, true, nil
}

// Seal implements driver.Driver.
func (d *Driver) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	status, err := d.seal(ctx, key, f)
	if errors.Is(err, bucket.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("seal %s on target %s: %w", key, d.target, err)
	}
	return status, nil
}

func (d *Driver) seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	write := nuid.Next()
	first, written := driver.StatusUnknown, false
	for {
		s, err := d.load(ctx)
		if err == nil {
			err = s.foreign(d.target)
		}
		if err != nil {
			return driver.StatusUnknown, err
		}
		if written && s.note.Write == write {
			return first, nil
		}
		record, was, err := s.note.Seal(key, f)
		if err != nil {
			return was, err
		}
		next := s.note
		next.Record, next.Target, next.Bucket = record, d.target, s.bucket
		if next.same(s.note) {
			return was, nil
		}
		if err := d.keeps(ctx, s.note.Before); err != nil {
			return was, err
		}
		first, next.Write = was, write
		_, err = d.write(ctx, s.Sequence, next, s.Value, s.Present)
		switch {
		case err == nil:
			return was, nil
		case errors.Is(err, bucket.ErrUnanswered):
			written = true
		case errors.Is(err, bucket.ErrRaced), errors.Is(err, bucket.ErrUnavailable) && ctx.Err() == nil:
		default:
			return was, wrong(err)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
