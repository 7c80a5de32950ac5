package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bug is a mistake that is built into the services, and that a run must notice.
// What is replaced must be in the file exactly once, so that a change of the code
// does not make a bug disappear from the list unseen.
type bug struct {
	name  string
	edits []edit
	// wants are the counts by one of which it must be noticed: others would say no more
	// than that something was not as usual.
	wants []string
	// focus and action say where to strike, so that it shows soon; empty for
	// everywhere. nap and blackout are those of Config.
	focus    []string
	action   string
	nap      time.Duration
	blackout time.Duration
	// interval and bad are those of Config; absent: 250 ms, and as usual.
	interval time.Duration
	bad      int
	// fate is that of the first releases that have something to go back to; absent: some
	// of each.
	fate string
	// long is how long releases are asked for; absent: 35 s.
	long time.Duration
	// service and unsigned are those of Config.
	service  string
	unsigned bool
	// ackWait and brief are those of Config.
	ackWait time.Duration
	brief   bool
	// calm strikes at the focus alone, and kills and stops nothing else.
	calm bool
	// spells are those in which systems around say no; absent: none, because what is held is
	// struck at less often.
	spells []string
}

type edit struct{ file, from, to string }

// settleBugs is the time to end that a run has whose services have a bug: one without
// any needs less, however many of its processes were stopped when the faults ended.
const settleBugs = 90 * time.Second

// control is a run with no bug. It must find nothing, or no run with one says anything.
var control = bug{name: "none"}

// ErrSurvived says that a bug was built in and nobody noticed, or that something was
// found where there is none.
var ErrSurvived = errors.New("a bug was not caught")

// Bugs builds each of the bugs whose name holds the text into the services, one
// after the other, and returns an error that wraps ErrSurvived unless every one is
// noticed by a count that it is to be noticed by, and a run without any finds nothing.
// Production code holds none of them: they are laid over it.
func Bugs(ctx context.Context, cfg Config, only string) error {
	survived, tried := 0, 0
	for _, b := range append([]bug{control}, bugs...) {
		if b.name != control.name && !strings.Contains(b.name, only) {
			continue
		}
		began := time.Now()
		v, err := try(ctx, cfg, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		word, good := b.judged(v, err)
		if !good {
			survived++
		}
		if b.name != control.name {
			tried++
		}
		fmt.Fprintf(cfg.Out, "%-9s %-66s %s (%.0f s)\n", word, b.name, told(v, err), time.Since(began).Seconds())
	}
	if survived > 0 || tried == 0 {
		return fmt.Errorf("%w: %d of %d runs are not as they must be", ErrSurvived, survived, tried+1)
	}
	fmt.Fprintf(cfg.Out, "ok: all of %d bugs are caught, and where there is none nothing is\n", tried)
	return nil
}

func told(v Verdict, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case v.Broken() == "":
		return "nothing found"
	}
	return v.Broken()
}

// judged says what a run made of a bug, and whether that is as it must be.
func (b bug) judged(v Verdict, err error) (word string, good bool) {
	counts := v.Counts()
	switch {
	case err != nil:
		return "ERROR", false
	case len(b.edits) == 0 && v.Broken() == "":
		return "clean", true
	case len(b.edits) == 0:
		return "NOT CLEAN", false
	case slices.ContainsFunc(b.wants, func(name string) bool { return counts[name] > 0 }):
		return "caught", true
	}
	return "SURVIVED", false
}

// try makes a short run with the bug. An error says that there was no verdict.
func try(ctx context.Context, cfg Config, b bug) (Verdict, error) {
	scratch, err := os.MkdirTemp("", "shipwarden-bug-")
	if err != nil {
		return Verdict{}, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if err := os.Chmod(scratch, 0o755); err != nil { //nolint:gosec // The database's user passes through.
		return Verdict{}, err
	}
	if cfg.Overlay, err = b.overlay(cfg.Root, scratch); err != nil {
		return Verdict{}, err
	}
	out := cfg.Out
	cfg.Releases, cfg.Duration, cfg.Settle, cfg.Interval = 60, 35*time.Second, settleBugs, 250*time.Millisecond
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	cfg.Dir, cfg.Out = filepath.Join(scratch, "run"), io.Discard
	cfg.Focus, cfg.Action, cfg.Blackout, cfg.Until = b.focus, b.action, b.blackout, b.wants
	if b.nap > 0 {
		cfg.Nap = b.nap
	}
	if b.long > 0 {
		cfg.Releases, cfg.Duration = 160, b.long
	}
	if b.interval > 0 {
		cfg.Interval = b.interval
	}
	cfg.Bad, cfg.FocusOnly, cfg.Brief, cfg.AckWait, cfg.Service, cfg.Unsigned = b.bad, b.calm, b.brief, b.ackWait, b.service, b.unsigned
	cfg.Fine, cfg.Spells = len(b.edits) > 0 && len(b.spells) == 0, b.spells
	if b.fate != "" {
		cfg.Fates = slices.Repeat([]string{b.fate}, cfg.Releases)
	}
	v, err := Run(ctx, cfg)
	if errors.Is(err, ErrBroken) {
		err = nil
	}
	for i, note := range v.Notes {
		if i < 3 {
			fmt.Fprintf(out, "          %s\n", note)
		}
	}
	return v, err
}

// overlay writes the files with the bug into a folder, and the list of them.
func (b bug) overlay(root, scratch string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	sources := map[string]string{}
	for _, e := range b.edits {
		path := filepath.Join(root, filepath.FromSlash(e.file))
		if _, ok := sources[path]; !ok {
			text, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			sources[path] = string(text)
		}
		if n := strings.Count(sources[path], e.from); n != 1 {
			return "", fmt.Errorf("%s holds %d times, not once:\n%s", e.file, n, e.from)
		}
		sources[path] = strings.Replace(sources[path], e.from, e.to, 1)
	}
	replace := map[string]string{}
	for path, text := range sources {
		other := filepath.Join(scratch, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = other
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(scratch, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}
