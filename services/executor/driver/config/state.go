package config

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// Header is the name of the header that keeps the fence, and what else must not be forgotten.
const Header = "Shipwarden-Target"

// maxPast bounds the keys and epochs that an entry remembers: they take room from the document,
// and lower fences are refused without them.
const maxPast = 32

// note is what stands in the header.
type note struct {
	fence.Record
	// Target is the id of the target that the entry is.
	Target string `json:"target"`
	// Before is the digest of what was there before the newest effect.
	Before string `json:"before,omitempty"`
	// Write is the name of the write, by which it is found again when its answer was lost.
	Write string `json:"write,omitempty"`
	// Bucket says in which bucket of that name it was written, by when that was made. Empty
	// where nobody has said so.
	Bucket string `json:"bucket,omitempty"`
}

// header is the note for an entry.
func (n note) header() (nats.Header, error) {
	n.PastKeys, n.SealedKeys, n.PastEpochs = newest(n.PastKeys), newest(n.SealedKeys), newest(n.PastEpochs)
	text, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write fence: %w", err)
	}
	return nats.Header{Header: []string{string(text)}}, nil
}

func newest[T any](list []T) []T { return list[max(0, len(list)-maxPast):] }

// same reports whether a note says what another one does, whoever wrote it.
func (n note) same(other note) bool {
	n.Write, other.Write, n.Bucket, other.Bucket = "", "", "", ""
	a, errA := json.Marshal(n)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

// state is an entry as it was read.
type state struct {
	bucket.Revision
	note note
	// noted says that there is one, or that a person has said that there need not be.
	noted bool
	// bucket says which bucket it is, as note.Bucket does.
	bucket string
	// lost says that a fence may have been there, and is not any more.
	lost bool
}

// ours reports whether the document is what this driver placed last, and nobody has changed
// it by hand.
func (s state) ours() bool { return s.note.Key != "" && s.note.Carries == s.Digest }

// load reads the entry. Where its newest revision was written by hand, the fence is that of
// the newest one that has it. Where none has it, there was one that is gone, unless nothing was
// ever removed from the bucket: a purge, and administration, leave a revision that looks like
// the first.
func (d *Driver) load(ctx context.Context) (state, error) {
	last, err := d.entry.Last(ctx)
	if err != nil {
		return state{}, wrong(err)
	}
	limits, err := d.entry.Limits(ctx)
	if err != nil {
		return state{}, wrong(err)
	}
	s := state{Revision: last, bucket: limits.Created}
	found, err := s.read(last)
	if err != nil || found || last.Sequence == 0 {
		return s, err
	}
	all, limits, err := d.history(ctx)
	if err != nil {
		return s, err
	}
	for _, r := range slices.Backward(all) {
		if found, err := s.read(r); err != nil || found {
			return s, err
		}
	}
	s.lost = !s.Present || !limits.Intact
	return s, nil
}

// read takes the note of a revision, and reports whether there is one. One that cannot be read
// must not be taken for none: that would let a stale executor in.
func (s *state) read(r bucket.Revision) (bool, error) {
	text := r.Header.Get(Header)
	if text == "" {
		return false, nil
	}
	var n note
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return false, fmt.Errorf("revision %d: the header %s cannot be read: %w: %w", r.Sequence, Header, driver.ErrConflict, err)
	}
	s.note, s.noted = n, true
	return true, nil
}

// anew is what people do where a fence is gone.
const anew = "see to it that no executor is at work on it, and write the document with the header " + Header + ": {}"

// foreign says why the entry is not this target's to change; nil where it is.
func (s state) foreign(target string) error {
	switch {
	case s.note.Target != "" && s.note.Target != target:
		return fmt.Errorf("the entry is target %s: %w", s.note.Target, driver.ErrConflict)
	case s.note.Bucket != "" && s.note.Bucket != s.bucket:
		return fmt.Errorf("the entry was written in a bucket that was made %s, and this one was made %s: whoever was let in there since it was copied is not known here: %s: %w",
			s.note.Bucket, s.bucket, anew, driver.ErrConflict)
	case s.lost:
		return fmt.Errorf("no revision that the bucket keeps of the entry has a fence, and others may have been purged or pushed out with it: %s; let the bucket keep more: %w", anew, driver.ErrConflict)
	}
	return nil
}

// forgotten says why the entry has lost the fence of a release that the record knows; nil where
// it has not.
func (s state) forgotten(plan driver.Plan) error {
	if s.noted || plan.PreviousVersion == "" {
		return nil
	}
	return fmt.Errorf("version %s was released to the entry, and no fence is there: the bucket was made anew: %s: %w", plan.PreviousVersion, anew, driver.ErrConflict)
}

// maxHistory is how many revisions of an entry are looked through at most, one by one.
const maxHistory = 256

// history is what the bucket keeps of the entry, without the documents, and its limits.
func (d *Driver) history(ctx context.Context) ([]bucket.Revision, bucket.Limits, error) {
	limits, err := d.entry.Limits(ctx)
	if err != nil {
		return nil, limits, wrong(err)
	}
	if err := d.bounded(limits); err != nil {
		return nil, limits, err
	}
	all, err := d.entry.History(ctx)
	return all, limits, wrong(err)
}

// bounded refuses a bucket of which nobody can read all revisions in time.
func (d *Driver) bounded(limits bucket.Limits) error {
	if limits.History <= maxHistory {
		return nil
	}
	return fmt.Errorf("entry %s: the bucket keeps more than %d revisions of an entry, or all of them: bound its history: %w", d.entry, maxHistory, driver.ErrInvalid)
}

// find is the newest revision whose document has a digest.
func find(all []bucket.Revision, digest string) (bucket.Revision, bool) {
	for _, r := range slices.Backward(all) {
		if r.Present && r.Digest == digest {
			return r, true
		}
	}
	return bucket.Revision{}, false
}
