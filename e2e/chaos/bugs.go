package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bug is a mistake that is built into the services, and that a run must notice.
// What is replaced must be in the file exactly once, so that a change of the code
// does not make a bug disappear from the list unseen.
type bug struct {
	name  string
	edits []edit
	// focus and action say where to strike, so that it shows soon; empty for
	// everywhere. nap and blackout are those of Config.
	focus    []string
	action   string
	nap      time.Duration
	blackout time.Duration
	// interval and bad are those of Config; absent: 250 ms, and as usual.
	interval time.Duration
	bad      int
	// long is how long releases are asked for; absent: 35 s.
	long time.Duration
	// calm strikes at the focus alone, and kills and stops nothing else.
	calm bool
}

type edit struct{ file, from, to string }

// ErrSurvived says that a bug was built in and nobody noticed.
var ErrSurvived = errors.New("a bug was not caught")

// Bugs builds each of the bugs whose name holds the text into the services, one
// after the other, and returns an error that wraps ErrSurvived unless every one
// breaks a promise. Production code holds none of them: they are laid over it.
func Bugs(ctx context.Context, cfg Config, only string) error {
	survived := 0
	tried := 0
	for _, b := range bugs {
		if !strings.Contains(b.name, only) {
			continue
		}
		tried++
		began := time.Now()
		v, err := try(ctx, cfg, b)
		switch {
		case err != nil:
			survived++
			fmt.Fprintf(cfg.Out, "ERROR     %s: %v\n", b.name, err)
		case v.Broken() == "":
			survived++
			fmt.Fprintf(cfg.Out, "SURVIVED  %s\n", b.name)
		default:
			fmt.Fprintf(cfg.Out, "caught    %-66s %s (%.0f s)\n", b.name, v.Broken(), time.Since(began).Seconds())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if survived > 0 || tried == 0 {
		return fmt.Errorf("%w: %d of %d", ErrSurvived, survived, tried)
	}
	fmt.Fprintf(cfg.Out, "ok: all of %d bugs are caught\n", tried)
	return nil
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
	cfg.Releases, cfg.Duration, cfg.Settle, cfg.Interval = 60, 35*time.Second, 15*time.Second, 250*time.Millisecond
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	cfg.Dir, cfg.Out = filepath.Join(scratch, "run"), io.Discard
	cfg.Focus, cfg.Action, cfg.Blackout = b.focus, b.action, b.blackout
	if b.nap > 0 {
		cfg.Nap = b.nap
	}
	if b.long > 0 {
		cfg.Releases, cfg.Duration = 160, b.long
	}
	if b.interval > 0 {
		cfg.Interval = b.interval
	}
	cfg.Bad, cfg.FocusOnly = b.bad, b.calm
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
