package chaos

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	all, err := readEffects(w.ledger(t))
	return slices.DeleteFunc(all, func(e effect) bool { return e.Action != "apply" && e.Action != "rollback" }), err
}

// touchedFile is where the noop driver writes down every effect that it begins, and that
// it is done, before and after it looks into its ledger.
func (w *world) touchedFile(t targetPlan) string {
	return filepath.Join(filepath.Dir(w.ledger(t)), "touched.jsonl")
}

// begun are the keys that a target with a folder admitted, and that nobody had sealed before:
// with these something was begun, although the driver may have died before it wrote that down.
func (w *world) begun(t targetPlan) (map[string]bool, error) {
	if t.Kind != kindNoop && t.Kind != kindHost {
		return nil, nil //nolint:nilnil // None is known.
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(w.ledger(t)), "fence"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // None is known.
	}
	if err != nil {
		return nil, err
	}
	var n note
	if err := json.Unmarshal(text, &n); err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	n.begun(keys)
	return keys, nil
}

// seenFile is what the application of a host has seen: a line for every start, with what
// it was started from. No driver writes it.
func (w *world) seenFile(t targetPlan) string {
	return filepath.Join(w.dir, "hosts", t.ID+".seen.jsonl")
}

// readEffects reads all lines of a ledger, oldest first; none where there is no file.
func readEffects(path string) ([]effect, error) {
	var all []effect
	return all, lines(path, func(line []byte) error {
		var e effect
		if json.Unmarshal(line, &e) == nil {
			all = append(all, e)
		}
		return nil // A line that a crash cut short is none.
	})
}
