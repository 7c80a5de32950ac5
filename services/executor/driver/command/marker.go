package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// ending is how a command ended.
type ending string

const (
	endedDone    ending = "done"
	endedFailed  ending = "failed"
	endedUnknown ending = "unknown"
)

func (e ending) probe() driver.Status {
	switch e {
	case endedDone:
		return driver.StatusDone
	case endedFailed:
		return driver.StatusFailed
	case endedUnknown:
	}
	return driver.StatusUnknown
}

// probe is a progress, as drivers tell it.
func (p progress) probe() driver.Status {
	switch p {
	case notStarted:
		return driver.StatusNotStarted
	case sealed:
		return driver.StatusSealed
	case running:
		return driver.StatusStarted
	case started:
	}
	return driver.StatusUnknown
}

// start is the content of a start marker.
type start struct {
	Key    driver.Key   `json:"key"`
	Fence  driver.Fence `json:"fence"`
	Target string       `json:"target"`
	Digest string       `json:"digest"`
	Time   time.Time    `json:"time"`
	Pid    int          `json:"pid"`
	// Sealed says that nothing was begun: the marker stands in the place of the one
	// that its key could have had.
	Sealed bool `json:"sealed,omitempty"`
}

// end is the content of an end marker.
type end struct {
	Key      driver.Key `json:"key"`
	Digest   string     `json:"digest"`
	Status   ending     `json:"status"`
	Message  string     `json:"message"`
	Output   []byte     `json:"output,omitempty"`
	Redacted int        `json:"redacted,omitempty"`
	Time     time.Time  `json:"time"`
}

// marker is the pair of files of one key.
type marker struct{ folder, attempt string }

// marker needs a valid key, whose parts are safe file names.
func (d *Driver) marker(key driver.Key) marker {
	wave := key.Wave()
	return marker{
		folder:  filepath.Join(d.folder, filepath.FromSlash(wave)),
		attempt: strings.TrimPrefix(string(key), wave+"/"),
	}
}

func (m marker) startPath() string { return filepath.Join(m.folder, m.attempt+".start") }
func (m marker) endPath() string   { return filepath.Join(m.folder, m.attempt+".end") }

// begin creates the start marker and holds a lock on it for as long as this
// process lives or until the file is closed. It fails, with fs.ErrExist, when there is
// one already. Of all who try, however they are delayed, one succeeds.
func (m marker) begin(s start) (*os.File, error) {
	if err := os.MkdirAll(m.folder, 0o755); err != nil {
		return nil, fmt.Errorf("write start marker: %w", err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write start marker: %w", err)
	}
	file, err := os.CreateTemp(m.folder, ".start-")
	if err != nil {
		return nil, fmt.Errorf("write start marker: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		_, err = file.Write(append(data, '\n'))
	}
	if err == nil {
		err = file.Sync()
	}
	// Linking fails where the name is taken, as O_EXCL does, and shows the marker
	// only when it is complete and locked: nobody sees it between two states.
	if err == nil {
		err = os.Link(file.Name(), m.startPath())
	}
	// The marker must survive a power cut, and so must every folder above it.
	for folder := m.folder; err == nil && folder != filepath.Dir(filepath.Dir(filepath.Dir(m.folder))); folder = filepath.Dir(folder) {
		err = fence.SyncFolder(folder)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("write start marker: %w", err)
	}
	return file, nil
}

// progress is how far an attempt came.
type progress int

const (
	notStarted progress = iota
	sealed              // it never will be
	started             // by a process that is gone
	running             // by a process that is there
)

// progress says what the start marker tells.
func (m marker) progress() (progress, error) {
	file, err := os.Open(m.startPath())
	if errors.Is(err, fs.ErrNotExist) {
		return notStarted, nil
	}
	if err != nil {
		return started, fmt.Errorf("read start marker: %w", err)
	}
	defer func() { _ = file.Close() }()
	var s start
	if err := json.NewDecoder(file).Decode(&s); err == nil && s.Sealed {
		return sealed, nil
	}
	// A shared lock, so that two who look do not take each other for the runner.
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return running, nil
	}
	if err != nil {
		return started, fmt.Errorf("read start marker: %w", err)
	}
	return started, nil
}

// finish writes the end marker.
func (m marker) finish(e end) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write end marker: %w", err)
	}
	return fence.WriteFile(m.endPath(), append(data, '\n'), 0o644)
}

func (m marker) readEnd() (end, bool, error) {
	var e end
	data, err := os.ReadFile(m.endPath())
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		return e, false, fmt.Errorf("read end marker: %w", err)
	}
	return e, true, nil
}

// applied says whether any attempt to bring the wave forth was begun.
func (m marker) applied() (bool, error) {
	entries, err := os.ReadDir(m.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read start markers: %w", err)
	}
	for _, e := range entries {
		attempt, ok := strings.CutSuffix(e.Name(), ".start")
		if !ok || attempt == "" || attempt[0] < '0' || attempt[0] > '9' {
			continue
		}
		how, err := marker{m.folder, attempt}.progress()
		if err != nil || how >= started {
			return true, err
		}
	}
	return false, nil
}

// open says how far the newest attempt came, unless it ended well as far as the
// record knows.
func (d *Driver) open(record fence.Record) (progress, error) {
	if record.Key == "" || record.Done {
		return notStarted, nil
	}
	return d.marker(record.Key).progress()
}
