package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nuid"

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
	case away(err):
		return fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	return err
}

// attempt reads the entry once and writes it once at most. It is not done where somebody else
// wrote in between, or where no answer came.
func (d *Driver) attempt(ctx context.Context, c *change) (result driver.Result, done bool, err error) {
	s, err := d.place.load(ctx)
	if err != nil {
		return result, false, err
	}
	d.pass(c, PointRead)
	if c.sent != nil && s.note.Write == c.write {
		c.sent = nil
		return d.look(ctx, c, s.at)
	}
	next, finished, repeated, err := d.judge(s, c)
	if err != nil {
		return result, false, err
	}
	d.pass(c, PointAdmitted)
	if finished && next.same(s.note) {
		return driver.Result{Digest: c.digest, Message: "carries " + c.digest + " already", Repeated: true}, true, nil
	}
	document := s.value
	if !finished {
		if document, err = d.document(ctx, s, c); err != nil {
			return result, false, err
		}
	}
	if s.digest == c.digest && !c.rollback {
		if err := d.place.keeps(ctx, s.note.Before, c.plan.Previous); err != nil {
			return already(c, repeated, err)
		}
	}
	d.pass(c, PointChecked)
	next.Write = c.write
	at, err := d.place.write(ctx, s, c.writing(next, document))
	switch {
	case unanswered(err):
		c.sent = err
		return result, false, nil
	case raced(err), away(err) && ctx.Err() == nil:
		return result, false, nil
	case err != nil:
		return already(c, repeated, err)
	}
	c.sent = nil
	d.pass(c, PointWritten)
	result, done, err = d.look(ctx, c, at)
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
	if err := errors.Join(s.forgotten(c.plan), d.place.remembers(s, c.plan.Mark)); err != nil {
		return next, false, false, err
	}
	record, repeated, err := s.note.Admit(c.key, c.fence, c.digest)
	if err != nil {
		return next, false, false, err
	}
	switch {
	case s.digest == c.digest:
		finished = repeated || c.rollback
	case repeated:
		return next, false, false, byHand(s, "it was placed, and changed by hand since")
	case c.rollback && s.digest != c.plan.Artifact.Digest:
		return next, false, false, byHand(s, "that is neither the release nor what was before it")
	case !c.rollback && !s.ours() && s.digest != c.plan.Previous:
		return next, false, false, byHand(s, "that was written by hand")
	}
	next = note{Record: record, Target: d.target, Before: s.note.Before, Bucket: s.bucket}
	next.Done, next.Pending, next.Carries = true, false, c.digest
	if s.digest != c.digest {
		next.Before = s.digest
	}
	return next, finished, repeated, nil
}

func byHand(s state, why string) error {
	digest := s.digest
	if digest == "" {
		digest = "nothing"
	}
	return fmt.Errorf("%s carries %s: %s: %w", s.at, digest, why, driver.ErrConflict)
}

// document finds what is to be written, once: the artifact, checked, or what was there before.
func (d *Driver) document(ctx context.Context, s state, c *change) ([]byte, error) {
	if c.document != nil {
		return c.document, nil
	}
	if !c.rollback {
		fits, err := d.place.usable(ctx)
		if err != nil {
			return nil, err
		}
		document, err := content(ctx, c.plan.Artifact, fits)
		if err != nil {
			return nil, err
		}
		if _, err := d.parse(c.plan.Artifact.Location, document); err != nil {
			return nil, err
		}
		c.document = document
		return document, nil
	}
	document, there, err := d.place.find(ctx, s, c.digest)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, fmt.Errorf("%s is not in the %s's history any more: %w", c.digest, d.place.home(), driver.ErrNoWayBack)
	}
	c.document = document
	return document, nil
}

// writing is what a call writes.
func (c *change) writing(n note, document []byte) writing {
	w := writing{note: n, document: document, present: true, key: c.key, fence: c.fence, what: "Place", version: c.plan.Version}
	if c.rollback {
		w.what, w.version = "Go back to", c.plan.PreviousVersion
	}
	return w
}

// look reads back what was written, and that it is there still.
func (d *Driver) look(ctx context.Context, c *change, at string) (driver.Result, bool, error) {
	result := driver.Result{Digest: c.digest, Message: fmt.Sprintf("carries %s, %s", c.digest, at)}
	s, err := d.place.load(ctx)
	if away(err) {
		result.Message += "; it was stored, and could not be read back"
		return result, true, nil
	}
	if err != nil {
		return result, false, err
	}
	if err := s.note.Holds(c.key, c.fence); err != nil {
		return result, false, err
	}
	if s.digest != c.digest {
		return result, false, byHand(s, fmt.Sprintf("%s placed %s, and somebody has changed it", at, c.digest))
	}
	return result, true, nil
}

// Seal implements driver.Driver.
func (d *Driver) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	status, err := d.seal(ctx, key, f)
	if away(err) {
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
		s, err := d.place.load(ctx)
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
		if err := d.place.keeps(ctx, s.note.Before); err != nil {
			return was, err
		}
		first, next.Write = was, write
		_, err = d.place.write(ctx, s, writing{note: next, document: s.value, present: s.present, key: key, fence: f, what: "Seal"})
		switch {
		case err == nil:
			return was, nil
		case unanswered(err):
			written = true
		case raced(err), away(err) && ctx.Err() == nil:
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
