package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

var (
	_ driver.Inspector = (*Driver)(nil)
	_ driver.Marked    = (*Driver)(nil)
)

// Inspect implements driver.Inspector. That the document is another one says its digest; here is
// since when and by whom, and that a branch was rewritten.
func (d *Driver) Inspect(ctx context.Context) ([]string, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	lines, err := d.inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at what was changed on target %s: %w", d.target, err)
	}
	return lines, nil
}

func (d *Driver) inspect(ctx context.Context) ([]string, error) {
	s, err := d.place.load(ctx)
	if err == nil {
		err = s.foreign(d.target)
	}
	if errors.Is(err, driver.ErrConflict) {
		return []string{oneLine(err.Error(), maxLine)}, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, why := range s.uncounted {
		lines = append(lines, oneLine("a fence counts for nothing: "+why, maxLine))
	}
	if s.note.Key == "" {
		return lines, nil
	}
	altered, err := d.place.altered(ctx, s)
	return append(lines, altered...), err
}

// maxLine bounds a line about what was changed, in bytes.
const maxLine = 512

// Mark implements driver.Marked.
func (d *Driver) Mark(ctx context.Context) (string, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	s, err := d.place.load(ctx)
	if err != nil {
		return "", fmt.Errorf("look at target %s: %w", d.target, err)
	}
	return d.place.mark(s), nil
}

// Remembers implements driver.Marked.
func (d *Driver) Remembers(ctx context.Context, mark string) error {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	s, err := d.place.load(ctx)
	if err == nil {
		err = d.place.remembers(s, mark)
	}
	if err != nil {
		return fmt.Errorf("look at target %s: %w", d.target, err)
	}
	return nil
}

// altered says since which commit the file is another one.
func (f *inFile) altered(ctx context.Context, s state) ([]string, error) {
	if s.note.Carries == "" || s.ours() {
		return nil, nil
	}
	since, err := f.head(s).Since(ctx, f.path)
	if err != nil {
		return nil, wrong(err)
	}
	what := "is not as it was placed"
	if !s.present {
		what = "is not there any more"
	}
	return []string{oneLine(fmt.Sprintf("%s: %s, since commit %.12s by %s", f.path, what, since.ID, since.Committer), maxLine)}, nil
}

// sight is how far a branch remembers: its newest note of the file.
type sight struct {
	Turn   int64  `json:"turn"`
	Line   string `json:"line,omitempty"`
	Since  int64  `json:"since,omitempty"`
	Commit string `json:"commit"`
}

func (n note) word() gitrepo.Word { return gitrepo.Word{Commit: n.Line, Made: n.Since} }

func (f *inFile) mark(s state) string {
	if !s.noted {
		return ""
	}
	text, err := json.Marshal(sight{Turn: s.note.Turn, Line: s.note.Line, Since: s.note.Since, Commit: s.in})
	if err != nil {
		return ""
	}
	return string(text)
}

// remembers compares with what an executor saw when the newest release let the target go, as
// remember does with what this one has seen.
func (f *inFile) remembers(s state, mark string) error {
	if mark == "" {
		return nil
	}
	var before sight
	if err := json.Unmarshal([]byte(mark), &before); err != nil {
		return fmt.Errorf("what is on record of the file's commits cannot be read: %w", driver.ErrInvalid)
	}
	word := gitrepo.Word{Commit: before.Line, Made: before.Since}
	if s.note.word().After(word) || s.note.Turn > before.Turn && s.note.Line == before.Line || s.note.Turn == before.Turn && s.in == before.Commit {
		return nil
	}
	return fmt.Errorf("commit %.12s, which has the newest fence of the file by the record, is not on the branch any more: it was set back or rewritten: %s: %w",
		before.Commit, f.anew(), driver.ErrConflict)
}
