package config

import (
	"encoding/json"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// maxPast bounds the keys and epochs that an entry remembers: they take room from the document,
// and lower fences are refused without them.
const maxPast = 32

// note is what stands beside the document: in the header of the entry, or in a trailer of the
// commit.
type note struct {
	fence.Record
	// Target is the id of the target that the entry is.
	Target string `json:"target"`
	// Before is the digest of what was there before the newest effect.
	Before string `json:"before,omitempty"`
	// Write is the name of the write, by which it is found again when its answer was lost.
	Write string `json:"write,omitempty"`
	// Bucket says in which bucket of that name it was written, by when that was made. Empty
	// where nobody has said so, and in a repository.
	Bucket string `json:"bucket,omitempty"`
	// Parent is the commit that it was written on; in a repository alone, and of a person's note
	// not.
	Parent string `json:"parent,omitempty"`
	// Turn is greater than those of all notes before it: the second at which it was written, or
	// more than that; in a repository alone.
	Turn int64 `json:"turn,omitempty"`
	// Line is the commit of the person's note that it follows, "" where there is none, and Since
	// when that was made; in a repository alone.
	Line  string `json:"line,omitempty"`
	Since int64  `json:"since,omitempty"`
}

// text is the note as it is written, in one line.
func (n note) text() (string, error) {
	n.PastKeys, n.SealedKeys, n.PastEpochs = newest(n.PastKeys), newest(n.SealedKeys), newest(n.PastEpochs)
	text, err := json.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("write fence: %w", err)
	}
	return string(text), nil
}

func newest[T any](list []T) []T { return list[max(0, len(list)-maxPast):] }

// same reports whether a note says what another one does, whoever wrote it.
func (n note) same(other note) bool {
	for _, n := range []*note{&n, &other} {
		n.Write, n.Bucket, n.Parent, n.Turn, n.Line, n.Since = "", "", "", 0, "", 0
	}
	a, errA := json.Marshal(n)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

// state is what was read.
type state struct {
	// at names the revision or the commit for people.
	at string
	// value is the document, digest its digest, "" where there is none, and present says that
	// there is one.
	value   []byte
	digest  string
	present bool

	note note
	// in is the commit that has it; in a repository alone.
	in string
	// uncounted says of commits that have a note that nobody signed who may, why it counts for
	// nothing; in a repository alone.
	uncounted []string
	// noted says that there is one, or that a person has said that there need not be.
	noted bool
	// bucket says which bucket it is, as note.Bucket does.
	bucket string
	// lost says why a fence may have been there, and is not any more; "" where it has not.
	lost string
	// anew is what people do where a fence is gone.
	anew string
	// read is what the place has read, for a write that follows it.
	read any
}

// ours reports whether the document is what this driver placed last, and nobody has changed
// it by hand.
func (s state) ours() bool { return s.note.Key != "" && s.note.Carries == s.digest }

// noteOf reads a note. One that cannot be read must not be taken for none: that would let a
// stale executor in.
func noteOf(text, name string) (note, error) {
	var n note
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return n, fmt.Errorf("%s cannot be read: %w: %w", name, driver.ErrConflict, err)
	}
	return n, nil
}

// foreign says why the place is not this target's to change; nil where it is.
func (s state) foreign(target string) error {
	switch {
	case s.note.Target != "" && s.note.Target != target:
		return fmt.Errorf("the entry is target %s: %w", s.note.Target, driver.ErrConflict)
	case s.note.Bucket != "" && s.note.Bucket != s.bucket:
		return fmt.Errorf("the entry was written in a bucket that was made %s, and this one was made %s: whoever was let in there since it was copied is not known here: %s: %w",
			s.note.Bucket, s.bucket, s.anew, driver.ErrConflict)
	case s.lost != "":
		return fmt.Errorf("%s: %s: %w", s.lost, s.anew, driver.ErrConflict)
	}
	return nil
}

// forgotten says why the fence of a release that the record knows is lost; nil where it is not.
func (s state) forgotten(plan driver.Plan) error {
	if s.noted || plan.PreviousVersion == "" {
		return nil
	}
	return fmt.Errorf("version %s was released here, and no fence is there: it was made anew: %s: %w", plan.PreviousVersion, s.anew, driver.ErrConflict)
}
