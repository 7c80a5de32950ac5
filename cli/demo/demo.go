package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/cli/ground"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/rig/inprocess"
	"github.com/blackdice/shipwarden/e2e/shop"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Config says where and how to tell the story.
type Config struct {
	// Dir holds everything that is made; what an earlier demo made there is removed.
	Dir string
	// Source is the folder of examples/shop.
	Source string
	Out    io.Writer
	Paint  terminal.Paint
	// Width is how many characters a line has room for, 0 where nobody knows.
	Width func() int
	// Command runs a command of the story.
	Command Command
}

// freezeTime is how long the campaign lasts in which nothing starts.
const freezeTime = 12 * time.Second

// story is the demo while it is told.
type story struct {
	Config
	rig   *rig.Rig
	world *shop.World
	board *shop.Board
	began time.Time
	// later is the release that is looked at again.
	later string

	mu    sync.Mutex
	heard []string      // owned by mu
	more  chan struct{} // has room for one: something was heard
}

// hear keeps what stakeholders were told, until it is shown.
func (s *story) hear(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, subject)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// notices returns what was told since the last time, as soon as the last of it is
// there: it may be told a moment after the release has ended.
func (s *story) notices(ctx context.Context, last string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if out := s.upTo(last); out != nil {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody was told %q: %w", last, ctx.Err())
		case <-s.more:
		}
	}
}

// upTo takes what was told, nil where the last of it is not there yet.
func (s *story) upTo(last string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, subject := range s.heard {
		if strings.HasPrefix(subject, last) {
			out := s.heard
			s.heard = nil
			return out
		}
	}
	return nil
}

// Run tells the story and returns nil only if all of it happened. Its error wraps one
// of package ground's where the folder may not be used.
func Run(ctx context.Context, cfg Config) error {
	release, err := ground.Empty(cfg.Dir)
	if err != nil {
		return err
	}
	defer release()
	s := &story{Config: cfg, began: time.Now(), more: make(chan struct{}, 1)}
	defer func() {
		if s.rig != nil {
			s.rig.Stop()
		}
		if s.world != nil {
			s.world.Stop(context.WithoutCancel(ctx))
		}
		if s.board != nil {
			s.board.Close(context.WithoutCancel(ctx))
		}
	}()
	versions, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, []shop.Artifact) error{s.planned, s.rolledBack, s.emergency, s.frozen, s.paused, s.revoked} {
		if err := part(ctx, versions); err != nil {
			return err
		}
	}
	if _, err := s.write(versions[len(versions)-1], "next", nil); err != nil {
		return err
	}
	return s.end()
}

// prepare builds the versions and starts everything.
func (s *story) prepare(ctx context.Context) ([]shop.Artifact, error) {
	s.title("A shop, two targets, and everything that stands between a build and production")
	world, err := shop.New(filepath.Join(s.Dir, "world"), s.Source)
	if err != nil {
		return nil, err
	}
	s.world = world
	if err := world.BuildTools(ctx); err != nil {
		return nil, err
	}
	var versions []shop.Artifact
	for _, v := range []struct {
		version string
		sick    time.Duration
	}{{"1.0.0", 0}, {"2.0.0", 1500 * time.Millisecond}, {"2.0.1", 0}, {"2.1.0", 0}, {"2.2.0", 0}, {"2.3.0", 0}} {
		a, err := world.Build(ctx, v.version, v.sick)
		if err != nil {
			return nil, err
		}
		note := ""
		if v.sick > 0 {
			note = "   (turns unhealthy " + v.sick.String() + " after its start)"
		}
		s.line("built shop %s   %s%s", v.version, a.Digest[:19]+"…", note)
		versions = append(versions, a)
	}
	s.began = time.Now()
	if s.board, err = shop.OpenBoard(s.hear); err != nil {
		return nil, err
	}
	world.Rules.Notice = true
	cfg := rig.Config{Dir: filepath.Join(s.Dir, "state"), Launch: inprocess.Launch, LogLevel: configv1.Log_LEVEL_ERROR}
	if err := world.Listen(&cfg, s.board); err != nil {
		return nil, err
	}
	cfg, err = world.Configure(cfg)
	if err != nil {
		return nil, err
	}
	if s.rig, err = rig.Start(ctx, cfg); err != nil {
		return nil, err
	}
	if err := errors.Join(s.settle(), os.MkdirAll(s.records(), 0o755)); err != nil {
		return nil, err
	}
	s.line("")
	s.line("started NATS with JetStream (every write synced), PostgreSQL, and the services approval, validator,")
	s.line("executor and recorder in %s; state lies in %s", time.Since(s.began).Round(time.Millisecond), s.short(s.Dir))
	return versions, nil
}

func (s *story) end() error {
	s.title("That was all of it, in " + time.Since(s.began).Round(time.Second).String())
	s.line("The records lie in %s.", s.short(s.records()))
	s.line("")
	s.line("Look further: start it again where it stopped, and ask from a second terminal.")
	s.line("")
	s.line("  bin/shipwarden dev --dir %s", s.short(s.Dir))
	s.line("")
	s.line("  bin/shipwarden get --rollbacks")
	s.line("  bin/shipwarden describe RELEASE")
	s.line("  bin/shipwarden submit -f %s", s.short(filepath.Join(s.Dir, "world", "requests", "next.yaml")))
	s.line("  bin/shipwarden approve RELEASE                # you are carol")
	s.line("  bin/shipwarden approve RELEASE --token-file %s", s.short(s.rig.TokenFile("dave")))
	s.line("  bin/shipwarden watch RELEASE")
	s.line("  bin/shipwarden record RELEASE")
	s.line("  bin/shipwarden replay RELEASE --keyring %s", s.short(filepath.Join(s.Dir, "state", "config", "keyring.yaml")))
	return nil
}

func (s *story) line(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// short is a path as somebody in the working folder would type it.
func (s *story) short(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func (s *story) title(text string) { s.line("\n%s", s.Paint.Bold("── "+text)) }

func (s *story) typed(format string, args ...any) {
	s.line("%s", s.Paint.Bold("$ shipwarden "+fmt.Sprintf(format, args...)))
}
