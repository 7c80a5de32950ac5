package gitops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// Trailer is the name of the trailer that keeps the fence, and what else must not be forgotten.
const Trailer = "Shipwarden-Record"

// maxPast bounds the keys and epochs that a note remembers: a message has a bound, and lower
// fences are refused without them.
const maxPast = 32

// note is what stands in the trailer of a commit of ours. Whether its effect is complete does not:
// that says the resource.
type note struct {
	fence.Record
	// Target is the target's id, and Installation the name of the installation, "" for none.
	Target       string `json:"target"`
	Installation string `json:"installation,omitempty"`
	// Serial grows with each note.
	Serial uint64 `json:"serial,omitempty"`
	// Parent is the commit that it was written on; of a person's note there is none. Line is the
	// commit of the person's note that it follows, "" where there is none, and Since when that was made.
	Parent string `json:"parent,omitempty"`
	Line   string `json:"line,omitempty"`
	Since  int64  `json:"since,omitempty"`
	// Sum is that of the files that Digest names, and Change the name of the newest change of them.
	Sum    string `json:"sum,omitempty"`
	Change string `json:"change,omitempty"`
	// Before is what was there before Change.
	Before past `json:"before,omitzero"`
}

// past is what a commit has.
type past struct {
	Digest string `json:"digest,omitempty"`
	Sum    string `json:"sum,omitempty"`
	Commit string `json:"commit,omitempty"`
}

// text is the note as the trailer has it.
func (n note) text() (string, error) {
	n.PastKeys, n.SealedKeys, n.PastEpochs = newest(n.PastKeys), newest(n.SealedKeys), newest(n.PastEpochs)
	n.Done, n.Pending, n.Carries = false, false, ""
	text, err := json.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("write the record: %w", err)
	}
	return string(text), nil
}

func newest[T any](list []T) []T { return slices.Clone(list[max(0, len(list)-maxPast):]) }

// same reports whether a note says what another one does.
func (n note) same(other note) bool {
	for _, n := range []*note{&n, &other} {
		n.Serial, n.Parent, n.Line, n.Since = 0, "", "", 0
	}
	a, errA := n.text()
	b, errB := other.text()
	return errA == nil && errB == nil && a == b
}

// noteOf reads the note of a commit; false where there is none, or it is another target's. One of
// ours that cannot be read must not be taken for none: that would let a stale executor in. So would
// one on another parent than it was written on, which somebody has put there: by a cherry-pick, a
// rebase or a squash. Of one that nobody signed who may the error wraps gitrepo.ErrUnsigned: it counts
// for nothing.
func (d *Driver) noteOf(signers gitrepo.Signers, c gitrepo.Commit) (n note, there bool, err error) {
	text := c.Trailer(Trailer)
	if text == "" {
		return note{}, false, nil
	}
	err = json.Unmarshal([]byte(text), &n)
	if uncounted := signers.Counts(c); uncounted != nil {
		if err == nil && n.Target != d.target {
			return n, false, nil
		}
		return n, false, uncounted
	}
	if err != nil {
		return note{}, false, fmt.Errorf("commit %s: its trailer %s cannot be read: %w: %w", short(c.ID), Trailer, driver.ErrConflict, err)
	}
	switch {
	case n.Target != d.target:
		return n, false, nil
	case n.Parent == "":
		n.Line, n.Since = c.ID, c.When.Unix() // A person has written it.
	case !slices.Equal(c.Parents, []string{n.Parent}):
		return n, false, fmt.Errorf("commit %s has a record that was written on %s, which is not its parent: the commit was copied, or the branch rewritten: %s: %w",
			short(c.ID), short(n.Parent), d.anew(), driver.ErrConflict)
	}
	return n, true, nil
}

// anew is what people do where nobody can tell who was there last.
func (d *Driver) anew() string {
	signed := ""
	if d.repo.Judged() {
		signed = ", signed by somebody of allowed_signers_file,"
	}
	return fmt.Sprintf("see to it that no executor is at work on it, and make a commit%s with the trailer %s: {\"target\":%q}", signed, Trailer, d.target)
}

// state is the branch as it was read.
type state struct {
	*gitrepo.Snapshot
	note note
	// noted says that there is a note, or that a person has said that there need not be.
	noted bool
	// at is the commit that has the note.
	at string
	// files are those of the folder, by their paths within it, and sum is theirs.
	files map[string][]byte
	sum   string
	// signers are those whose signatures count, and uncounted says of commits that have a note that
	// none of them has signed, why it counts for nothing.
	signers   gitrepo.Signers
	uncounted []string
}

// load reads the branch: the newest note, and the files of the folder. A branch that has lost a note
// which this process has read there was rewritten.
func (d *Driver) load(ctx context.Context) (state, error) {
	d.mu.Lock()
	before := d.seen
	d.mu.Unlock()
	head, err := d.repo.Head(ctx)
	if err != nil {
		return state{}, wrong(err)
	}
	s, err := d.read(ctx, head)
	if err != nil {
		return s, err
	}
	// What others have seen meanwhile may be newer than this.
	anew := s.note.word().After(before.word())
	if !anew && before.Commit != "" && (s.note.Line != before.Line || s.note.Serial < before.Serial || s.note.Serial == before.Serial && s.at != before.Commit) {
		return s, fmt.Errorf("commit %s, which had the newest record of it, is not on the branch any more: it was rewritten: %s: %w", short(before.Commit), d.anew(), driver.ErrConflict)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.noted && d.seen == before {
		d.seen = s.sight()
	}
	return s, nil
}

// sight is the newest note that a process has read.
type sight struct {
	Line   string `json:"line,omitempty"`
	Since  int64  `json:"since,omitempty"`
	Serial uint64 `json:"serial"`
	Commit string `json:"commit"`
}

func (s state) sight() sight {
	return sight{Line: s.note.Line, Since: s.note.Since, Serial: s.note.Serial, Commit: s.at}
}

func (s sight) word() gitrepo.Word { return gitrepo.Word{Commit: s.Line, Made: s.Since} }

func (n note) word() gitrepo.Word { return gitrepo.Word{Commit: n.Line, Made: n.Since} }

func (d *Driver) read(ctx context.Context, at *gitrepo.Snapshot) (state, error) {
	s := state{Snapshot: at}
	var broken, err error
	if s.signers, err = d.repo.Signers(); err != nil {
		return s, wrong(err)
	}
	_, err = at.Find(ctx, func(c gitrepo.Commit) bool {
		n, there, err := d.noteOf(s.signers, c)
		switch {
		case errors.Is(err, gitrepo.ErrUnsigned):
			s.uncounted = append(s.uncounted, err.Error())
		case err != nil:
			broken = err
		case there && s.noted && n.Serial == s.note.Serial && broken == nil:
			broken = fmt.Errorf("commits %s and %s have records of which neither is the newer one: the branch was rewritten and merged: %s: %w", short(s.at), short(c.ID), d.anew(), driver.ErrConflict)
		case there && (!s.noted || n.Serial > s.note.Serial):
			s.note, s.noted, s.at = n, true, c.ID
		}
		return there || broken != nil
	})
	if err = errors.Join(broken, wrong(err)); err != nil {
		return s, err
	}
	// A person's word is about the target, whoever had it.
	if s.noted && s.note.Installation != d.installation && (s.note.Parent != "" || s.note.Installation != "") {
		return s, fmt.Errorf("%w: the folder is that of installation %q of Shipwarden, and this is %q", driver.ErrConflict, s.note.Installation, d.installation)
	}
	// An older executor does not write it down.
	word, err := at.Dated(ctx, s.note.word())
	if err != nil {
		return s, wrong(err)
	}
	s.note.Since = word.Made
	s.files, err = d.folder(ctx, at)
	s.sum = sum(s.files)
	return s, err
}

// folder reads the files of the target's folder.
func (d *Driver) folder(ctx context.Context, at *gitrepo.Snapshot) (map[string][]byte, error) {
	found, others, err := at.Files(ctx, d.path)
	if err != nil {
		return nil, wrong(err)
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("%s of %s is a link or another repository, and is not taken: %w", others[0], d.repo, driver.ErrConflict)
	}
	files := make(map[string][]byte, len(found))
	for path, f := range found {
		files[path[len(d.path)+1:]] = f.Data
	}
	return files, nil
}

// ours reports whether the files are those that this driver placed last, and nobody has changed
// them by hand.
func (s state) ours() bool { return s.note.Key != "" && s.note.Digest != "" && s.note.Sum == s.sum }

// carries is the digest of what is in the folder; of what somebody else put there its sum, "" for
// nothing.
func (s state) carries() string {
	if s.ours() {
		return s.note.Digest
	}
	return s.sum
}

// forgotten says why the branch has lost the record of a release that Shipwarden knows of; nil
// where it has not.
func (d *Driver) forgotten(s state, plan driver.Plan) error {
	if s.noted || plan.PreviousVersion == "" {
		return nil
	}
	signed := ""
	if len(s.uncounted) > 0 {
		signed = fmt.Sprintf(" that counts (%s)", s.uncounted[0])
	}
	return fmt.Errorf("version %s was released to it, and no commit on the branch has a record of that%s: the branch was rewritten, or is another one: %s: %w",
		plan.PreviousVersion, signed, d.anew(), driver.ErrConflict)
}

// found is where the branch has what it carried before. Errors wrap driver.ErrNoWayBack where that
// is nowhere, or not as it was.
func (d *Driver) found(ctx context.Context, s state, digest string) (files map[string][]byte, from string, err error) {
	if s.carries() == digest {
		return s.files, s.Commit().ID, nil
	}
	var wanted past
	_, err = s.Find(ctx, func(c gitrepo.Commit) bool {
		n, there, err := d.noteOf(s.signers, c)
		switch {
		case err != nil || !there || wanted.Commit != "":
		case n.Digest == digest && n.Sum != "":
			wanted = past{Digest: digest, Sum: n.Sum, Commit: c.ID}
		case n.Before.Digest == digest && n.Before.Commit != "":
			wanted = n.Before
		}
		return wanted.Commit != ""
	})
	if err != nil {
		if errors.Is(err, gitrepo.ErrTooOld) {
			return nil, "", fmt.Errorf("%s: %w: %w", digest, driver.ErrNoWayBack, err)
		}
		return nil, "", wrong(err)
	}
	if wanted.Commit == "" {
		return nil, "", fmt.Errorf("%s is in no commit on the branch: %w", digest, driver.ErrNoWayBack)
	}
	at, there, err := s.At(ctx, wanted.Commit)
	switch {
	case errors.Is(err, gitrepo.ErrTooOld):
		return nil, "", fmt.Errorf("%s: %w: %w", digest, driver.ErrNoWayBack, err)
	case err != nil:
		return nil, "", wrong(err)
	case there:
		if files, err = d.folder(ctx, at); err != nil {
			return nil, "", err
		}
	}
	if !there || sum(files) != wanted.Sum {
		return nil, "", fmt.Errorf("%s is in no commit on the branch as it was placed: %w", digest, driver.ErrNoWayBack)
	}
	return files, wanted.Commit, nil
}

// short is a commit for people.
func short(id string) string { return id[:min(len(id), 12)] }
