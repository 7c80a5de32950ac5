package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Config says where and how to tell the story.
type Config struct {
	// Dir holds everything that is made; what was there before is replaced.
	Dir string
	// Source is the folder of examples/shop.
	Source string
	Out    io.Writer
	Paint  terminal.Paint
	// Settings writes a CLI's context file that leads to the running services, as a
	// person calls them.
	Settings func(r *rig.Rig, person, file string) error
}

// freezeTime is how long the campaign lasts in which nothing starts.
const freezeTime = 8 * time.Second

// story is the demo while it is told.
type story struct {
	Config
	rig   *rig.Rig
	world *shop.World
	began time.Time
}

// Run tells the story and returns nil only if all of it happened.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return err
	}
	s := &story{Config: cfg, began: time.Now()}
	defer func() {
		if s.rig != nil {
			s.rig.Stop()
		}
		if s.world != nil {
			s.world.Stop(context.WithoutCancel(ctx))
		}
	}()
	versions, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, []shop.Artifact) error{s.planned, s.rolledBack, s.emergency, s.frozen} {
		if err := part(ctx, versions); err != nil {
			return err
		}
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
	}{{"1.0.0", 0}, {"2.0.0", 1500 * time.Millisecond}, {"2.0.1", 0}, {"2.1.0", 0}, {"2.2.0", 0}} {
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
	cfg, err := world.Configure(rig.Config{Dir: filepath.Join(s.Dir, "state"), LogLevel: configv1.Log_LEVEL_ERROR})
	if err != nil {
		return nil, err
	}
	if s.rig, err = rig.Start(ctx, cfg); err != nil {
		return nil, err
	}
	s.line("")
	s.line("started NATS with JetStream (every write synced), PostgreSQL, and the services approval, validator,")
	s.line("executor and recorder in %s; state lies in %s", time.Since(s.began).Round(time.Millisecond), s.Dir)
	return versions, s.Settings(s.rig, rig.Auditor, s.context())
}

func (s *story) context() string { return filepath.Join(s.Dir, "cli.yaml") }

func (s *story) end() error {
	s.title("That was all of it, in " + time.Since(s.began).Round(time.Second).String())
	s.line("The records lie in %s.", filepath.Join(s.Dir, "records"))
	s.line("")
	s.line("Look further: start it again where it stopped, and ask from a second terminal.")
	s.line("")
	s.line("  bin/shipwarden dev --dir %s", s.Dir)
	s.line("")
	s.line("  export SHIPWARDEN_CONFIG=%s", s.context())
	s.line("  bin/shipwarden get")
	s.line("  bin/shipwarden describe RELEASE")
	s.line("  bin/shipwarden submit -f %s --watch", filepath.Join(s.Dir, "world", "requests", "next.yaml"))
	s.line("  bin/shipwarden approve RELEASE --token-file %s", s.rig.TokenFile("carol"))
	s.line("  bin/shipwarden approve RELEASE --token-file %s", s.rig.TokenFile("dave"))
	return nil
}

func (s *story) line(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

func (s *story) title(text string) { s.line("\n%s", s.Paint.Bold("── "+text)) }

func (s *story) typed(format string, args ...any) {
	s.line("%s", s.Paint.Bold("$ shipwarden "+fmt.Sprintf(format, args...)))
}
