// Package ledger keeps, beside a target, one line for every effect that it had.
// Nothing decides by it but what must not be written twice; it is there so that
// somebody who trusts neither the stream nor the executor can count (PD-5.2).
package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Actions of an entry. Apply and Rollback are effects; Restart tells how often an
// effect was carried to the running application, which a repair may do again.
const (
	Apply    = "apply"
	Rollback = "rollback"
	Restart  = "restart"
)

// Entry is one line of a ledger.
type Entry struct {
	// Time is when it was written.
	Time time.Time `json:"time"`
	// Target is the target's id.
	Target string `json:"target"`
	// Key is the attempt.
	Key driver.Key `json:"key"`
	// Effect is what all attempts at the effect have in common.
	Effect string `json:"effect"`
	// Fence is the fence under which it happened.
	Fence driver.Fence `json:"fence"`
	// Digest is what the target carries from then on.
	Digest string `json:"digest"`
	// Action is Apply, Rollback or Restart.
	Action string `json:"action"`
}

// IsEffect says whether the entry is an effect, not a repair.
func (e Entry) IsEffect() bool { return e.Action == Apply || e.Action == Rollback }

// tail is how much of the end of a file is looked at for its newest effect.
const tail = 64 << 10

// Append writes one line and makes it survive a power cut. A line that a crash
// cut short is closed first. Two callers at a time need a lock.
func Append(path string, e Entry) error {
	e.Effect = e.Key.Effect()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("append to ledger: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644) //nolint:gosec // for whoever counts
	if err != nil {
		return fmt.Errorf("append to ledger: %w", err)
	}
	defer func() { _ = file.Close() }()
	end, err := readTail(file, 1)
	if err != nil {
		return fmt.Errorf("append to ledger %s: %w", path, err)
	}
	if len(end) > 0 && end[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("append to ledger %s: %w", path, err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("append to ledger %s: %w", path, err)
	}
	return nil
}

// LastEffect is the newest effect of a ledger that made the target carry another
// digest than not; the zero entry where there is none.
func LastEffect(path, not string) (Entry, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, nil
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read ledger: %w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := readTail(file, tail)
	if err != nil {
		return Entry{}, fmt.Errorf("read ledger %s: %w", path, err)
	}
	var last Entry
	for line := range bytes.Lines(data) {
		var e Entry
		if json.Unmarshal(line, &e) == nil && e.IsEffect() && e.Digest != not {
			last = e
		}
	}
	return last, nil
}

// Read reads all entries of a ledger, oldest first. A line that a crash cut short
// is left out; there are none where there is no file.
func Read(path string) ([]Entry, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer func() { _ = file.Close() }()
	var entries []Entry
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Key != "" {
			entries = append(entries, e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return entries, nil
}

func readTail(file *os.File, n int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	start := max(0, info.Size()-n)
	data := make([]byte, info.Size()-start)
	if _, err := file.ReadAt(data, start); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
