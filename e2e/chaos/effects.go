package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// effect is one line of a target's ledger, written by its driver or, for commands,
// by the program that was run.
type effect struct {
	Time   time.Time `json:"time"`
	Target string    `json:"target"`
	Key    string    `json:"key"`
	Effect string    `json:"effect"`
	Digest string    `json:"digest"`
	Action string    `json:"action"`
	// Artifact is what the release placed, and known of commands alone: it tells the
	// release, because a command is not told its key.
	Artifact string `json:"artifact"`
	Fence    struct {
		Epoch    string `json:"epoch"`
		Sequence uint64 `json:"sequence"`
	} `json:"fence"`
}

// ledger is the file with a target's effects.
func (w *world) ledger(t targetPlan) string {
	switch t.Kind {
	case kindHost:
		return filepath.Join(w.dir, "hosts", t.ID, "ledger.jsonl")
	case kindCommand:
		return filepath.Join(w.dir, "commands", t.ID+".jsonl")
	}
	return filepath.Join(w.dir, "points", "noop", t.ID, "ledger.jsonl")
}

// effects are all that a target had, oldest first. Restarts are no effects: a repair
// may do them again.
func (w *world) effects(t targetPlan) ([]effect, error) {
	data, err := os.ReadFile(w.ledger(t))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []effect
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var e effect
		// A line that a crash cut short is none.
		if json.Unmarshal(lines.Bytes(), &e) == nil && (e.Action == "apply" || e.Action == "rollback") {
			all = append(all, e)
		}
	}
	return all, lines.Err()
}
