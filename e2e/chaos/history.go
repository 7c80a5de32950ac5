package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// What clients ask for.
const (
	opRequest     = "request"
	opApprove     = "approve"
	opReject      = "reject"
	opWithdraw    = "withdraw"
	opAbort       = "abort"
	opAcknowledge = "acknowledge"
	opClose       = "close"
	opIntervene   = "intervene"
	opReview      = "review"
)

// ok is the answer to what was done. Every other answer is the error's text, and none
// that of a call that has only begun.
const ok = "ok"

// call is one line of the clients' history: what somebody asks for, and, in a line of its
// own, what they were told.
type call struct {
	// Time is when the call began or the answer came.
	Time    time.Time `json:"time"`
	Op      string    `json:"op"`
	Person  string    `json:"person,omitempty"`
	Release string    `json:"release"`
	// Key is the request's, Digest the change that was approved, Action what was
	// decided about an escalated release.
	Key    string `json:"key,omitempty"`
	Digest string `json:"digest,omitempty"`
	Action string `json:"action,omitempty"`
	Answer string `json:"answer,omitempty"`
}

// history is the file of what clients were told, which services do not know of. It may
// be used by several goroutines.
type history struct {
	mu   sync.Mutex // guards what follows
	file *os.File
	err  error // the first one
}

func newHistory(path string) (*history, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return &history{file: file}, err
}

// do makes a call, and writes down before what is asked for and afterwards the answer.
func (h *history) do(c call, ask func() error) error {
	h.note(c)
	err := ask()
	c.Answer = ok
	if err != nil {
		c.Answer = err.Error()
	}
	h.note(c)
	return err
}

func (h *history) note(c call) {
	c.Time = time.Now()
	line, wrong := json.Marshal(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	if wrong == nil {
		_, wrong = h.file.Write(append(line, '\n'))
	}
	h.err = errors.Join(h.err, wrong)
}

// close ends the history. An error says that it is not complete.
func (h *history) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.err, h.file.Close())
}

// historyName is the history's file in the folder of the run.
const historyName = "history.jsonl"

// readHistory reads all lines, oldest first; none where there is no file.
func readHistory(path string) ([]call, error) {
	var all []call
	return all, lines(path, func(line []byte) error {
		var c call
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		all = append(all, c)
		return nil
	})
}

// lines hands over every line of a file, none where it is not there.
func lines(path string, each func([]byte) error) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text := bufio.NewScanner(bytes.NewReader(data))
	for text.Scan() {
		if err := each(text.Bytes()); err != nil {
			return err
		}
	}
	return text.Err()
}
