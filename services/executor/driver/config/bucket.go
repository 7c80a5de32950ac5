package config

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/bucket"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Header is the name of the header of an entry that keeps the fence, and what else must not be
// forgotten.
const Header = "Shipwarden-Target"

// inBucket is one entry of a bucket.
type inBucket struct{ *bucket.Entry }

// anew is what people do where a fence is gone.
const anew = "see to it that no executor is at work on it, and write the document with the header " + Header + ": {}"

func (b *inBucket) Place() string { return "entry " + b.Entry.Place() }
func (b *inBucket) kind() string  { return "entry" }
func (b *inBucket) home() string  { return "bucket" }

func (b *inBucket) running(ctx context.Context) (string, error) {
	r, err := b.Last(ctx)
	return r.Digest, wrong(err)
}

// load reads the entry. Where its newest revision was written by hand, the fence is that of
// the newest one that has it. Where none has it, there was one that is gone, unless nothing was
// ever removed from the bucket: a purge, and administration, leave a revision that looks like
// the first.
func (b *inBucket) load(ctx context.Context) (state, error) {
	last, err := b.Last(ctx)
	if err != nil {
		return state{}, wrong(err)
	}
	limits, err := b.Limits(ctx)
	if err != nil {
		return state{}, wrong(err)
	}
	s := state{
		at: fmt.Sprintf("revision %d", last.Sequence), value: last.Value, digest: last.Digest, present: last.Present,
		bucket: limits.Created, anew: anew, read: last.Sequence,
	}
	found, err := s.take(last)
	if err != nil || found || last.Sequence == 0 {
		return s, err
	}
	all, limits, err := b.history(ctx)
	if err != nil {
		return s, err
	}
	for _, r := range slices.Backward(all) {
		if found, err := s.take(r); err != nil || found {
			return s, err
		}
	}
	if !s.present || !limits.Intact {
		s.lost = "no revision that the bucket keeps of the entry has a fence, and others may have been purged or pushed out with it: let the bucket keep more"
	}
	return s, nil
}

// take takes the note of a revision, and reports whether there is one.
func (s *state) take(r bucket.Revision) (bool, error) {
	text := r.Header.Get(Header)
	if text == "" {
		return false, nil
	}
	n, err := noteOf(text, fmt.Sprintf("revision %d: the header %s", r.Sequence, Header))
	if err != nil {
		return false, err
	}
	s.note, s.noted = n, true
	return true, nil
}

func (b *inBucket) mark(state) string             { return "" }
func (b *inBucket) remembers(state, string) error { return nil }

// altered: the digest says all that there is to an entry.
func (b *inBucket) altered(context.Context, state) ([]string, error) { return nil, nil }

func (b *inBucket) forgotten(context.Context, state, driver.Plan) error { return nil }

// write writes a document and its note as one.
func (b *inBucket) write(ctx context.Context, s state, w writing) (string, error) {
	header, err := header(w.note)
	if err != nil {
		return "", err
	}
	after, _ := s.read.(uint64)
	sequence, err := b.Put(ctx, bucket.Write{After: after, Value: w.document, Present: w.present, Header: header})
	return fmt.Sprintf("revision %d", sequence), err
}

// header is the note for an entry.
func header(n note) (nats.Header, error) {
	text, err := n.text()
	return nats.Header{Header: []string{text}}, err
}

// maxHistory is how many revisions of an entry are looked through at most, one by one.
const maxHistory = 256

// history is what the bucket keeps of the entry, without the documents, and its limits.
func (b *inBucket) history(ctx context.Context) ([]bucket.Revision, bucket.Limits, error) {
	limits, err := b.Limits(ctx)
	if err != nil {
		return nil, limits, wrong(err)
	}
	if err := b.bounded(limits); err != nil {
		return nil, limits, err
	}
	all, err := b.History(ctx)
	return all, limits, wrong(err)
}

// bounded refuses a bucket of which nobody can read all revisions in time.
func (b *inBucket) bounded(limits bucket.Limits) error {
	if limits.History <= maxHistory {
		return nil
	}
	return fmt.Errorf("entry %s: the bucket keeps more than %d revisions of an entry, or all of them: bound its history: %w", b, maxHistory, driver.ErrInvalid)
}

// newestWith is the newest revision whose document has a digest.
func newestWith(all []bucket.Revision, digest string) (bucket.Revision, bool) {
	for _, r := range slices.Backward(all) {
		if r.Present && r.Digest == digest {
			return r, true
		}
	}
	return bucket.Revision{}, false
}

func (b *inBucket) find(ctx context.Context, _ state, digest string) ([]byte, bool, error) {
	all, _, err := b.history(ctx)
	if err != nil {
		return nil, false, err
	}
	r, ok := newestWith(all, digest)
	if ok {
		if r, err = b.Read(ctx, r.Sequence); err != nil {
			return nil, false, wrong(err)
		}
	}
	return r.Value, r.Present && r.Digest == digest, nil
}

// keeps refuses a write that changes no document and would push the only copy out of the
// history of something that a target goes back to.
func (b *inBucket) keeps(ctx context.Context, needed ...string) error {
	limits, err := b.Limits(ctx)
	if err != nil || limits.History > maxHistory {
		return wrong(err) // Such a bucket pushes nothing out that anybody goes back to.
	}
	all, limits, err := b.history(ctx)
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
		if _, there := newestWith(all[1:], digest); !there {
			return fmt.Errorf("the bucket keeps %d revisions of the entry, and one more would push out %s, which is the way back: let it keep more: %w",
				limits.History, digest, driver.ErrInvalid)
		}
	}
	return nil
}

// headerRoom is what is kept free beside a document for the header, of which every part is
// bounded.
const headerRoom = 12 << 10

// fits refuses a document by its size.
func fits(size int64, limits bucket.Limits) error {
	switch {
	case size > limits.Bytes-headerRoom:
		return fmt.Errorf("it measures %d bytes, and the bucket takes %d beside what is noted of it: %w", size, max(limits.Bytes-headerRoom, 0), driver.ErrInvalid)
	case size > limits.Room-headerRoom:
		return fmt.Errorf("it measures %d bytes, and the bucket is full: it takes %d more beside what is noted of it: %w", size, max(limits.Room-headerRoom, 0), driver.ErrInvalid)
	}
	return nil
}

// minHistory is how many revisions of an entry a bucket keeps at least: every takeover of an
// effect, and every seal, uses one up, and the way back must not be pushed out by them.
const minHistory = 8

// usable asks for the bucket's limits, and refuses a bucket in which no document can stay.
func (b *inBucket) usable(ctx context.Context) (func(int64) error, error) {
	limits, err := b.Limits(ctx)
	switch {
	case err != nil:
		return nil, wrong(err)
	case limits.Mirror:
		return nil, fmt.Errorf("entry %s: the bucket is a mirror, and cannot be written: %w", b, driver.ErrInvalid)
	case limits.Expires:
		return nil, fmt.Errorf("entry %s: what is in the bucket goes away after a while (TTL), or for what is newer: %w", b, driver.ErrInvalid)
	case limits.History < minHistory:
		return nil, fmt.Errorf("entry %s: the bucket keeps %d revisions of an entry, and must keep %d: takeovers and seals use them up, and the way back is one of them: %w",
			b, limits.History, minHistory, driver.ErrInvalid)
	}
	return func(size int64) error { return fits(size, limits) }, b.bounded(limits)
}

// back says that the document of the way back is in the bucket's history, byte for byte, and will be
// there still when the release has been placed.
func (b *inBucket) back(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	not := func(format string, args ...any) (driver.DryRun, error) {
		out.Reason = fmt.Sprintf(format, args...)
		return out, nil
	}
	all, limits, err := b.history(ctx)
	if errors.Is(err, driver.ErrInvalid) {
		return not("%v", err)
	}
	if err != nil {
		return out, err
	}
	previous, there := newestWith(all, plan.Previous)
	switch {
	case !there:
		return not("%s is not in the bucket's history any more", plan.Previous)
	case limits.History < minHistory:
		return not("the bucket keeps %d revisions of the entry, and must keep %d: what the release replaces would be pushed out by takeovers and seals", limits.History, minHistory)
	case limits.Mirror || limits.Expires:
		return not("the bucket is a mirror, or what is in it goes away")
	}
	if newest := all[len(all)-1].Digest; newest != plan.Artifact.Digest {
		if newest != plan.Previous && len(all) >= limits.History {
			if _, still := newestWith(all[1:], plan.Previous); !still {
				return not("%s is the oldest revision that the bucket keeps, and the release would push it out", plan.Previous)
			}
		}
		// The release takes its part before.
		limits.Room -= min(limits.Room, plan.Artifact.Size+headerRoom)
	}
	if err := fits(previous.Size, limits); err != nil {
		return not("%s cannot be written again: %v", plan.Previous, err)
	}
	out.Possible = true
	out.Steps = fmt.Sprintf("put:     %s <- %s, from the bucket's history\nversion: %s\n", b, plan.Previous, plan.PreviousVersion)
	out.Reason = fmt.Sprintf("%s is in the bucket's history", plan.Previous)
	return out, nil
}
