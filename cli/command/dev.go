package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/demo"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/internal/postgres"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Ports of `shipwarden dev`: fixed, so that what was typed yesterday works today.
const (
	devNATSPort     = 4222
	devApprovalPort = 7420
	devRecorderPort = 7421
)

// devPerson is who calls, where nothing else is said.
const devPerson = "carol"

// startTime bounds the start of everything.
const startTime = 2 * time.Minute

func newDev(a *app) *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, to try it",
		Long: "Runs a NATS server with JetStream, a private PostgreSQL, and the four services in\n" +
			"one process, with a small shop to release into. What it stores survives a restart.\n" +
			"It writes .shipwarden/cli.yaml, so that other commands typed in the same folder\n" +
			"find it. It is for trying things on one machine, and not for production.",
		Example: "  shipwarden dev",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			return a.dev(cmd.Context(), o)
		}),
	}
	c.Flags().StringVar(&o.dir, "dir", "", "folder of everything that is stored (default .shipwarden/dev)")
	c.Flags().StringVar(&o.source, "shop", "examples/shop", "folder of the example application")
	c.Flags().StringVar(&o.procedure, "procedure", "", "procedure document (default: that of the shop)")
	c.Flags().BoolVar(&o.freePorts, "free-ports", false, fmt.Sprintf("listen on ports that are free, instead of %d, %d and %d",
		devNATSPort, devApprovalPort, devRecorderPort))
	return c
}

// devOptions are the flags of dev.
type devOptions struct {
	dir, source, procedure string
	freePorts              bool
}

func (a *app) dev(ctx context.Context, o devOptions) error {
	dir, err := a.stateDir(o.dir, "dev")
	if err != nil {
		return err
	}
	world, err := shop.New(filepath.Join(dir, "world"), o.source)
	if err != nil {
		return err
	}
	if err := world.BuildTools(ctx); err != nil {
		return err
	}
	if err := world.Resume(ctx); err != nil {
		return err
	}
	defer world.Stop(context.WithoutCancel(ctx))
	board, err := shop.OpenBoard(func(subject string) { fmt.Fprintln(a.out, "#operations "+terminal.Escape(subject)) })
	if err != nil {
		return err
	}
	defer board.Close(context.WithoutCancel(ctx))
	world.Rules.Notice = true
	cfg := rig.Config{
		Dir: filepath.Join(dir, "state"), NATSPort: devNATSPort, ApprovalPort: devApprovalPort, RecorderPort: devRecorderPort,
		LogLevel: configv1.Log_LEVEL_WARN,
	}
	if o.freePorts {
		cfg.NATSPort, cfg.ApprovalPort, cfg.RecorderPort = 0, 0, 0
	}
	if err := world.Listen(&cfg, board); err != nil {
		return err
	}
	if cfg, err = world.Configure(cfg); err != nil {
		return err
	}
	// What took effect last time stays in effect, unless another one is given.
	if kept, err := os.ReadFile(filepath.Join(dir, "state", "procedure.yaml")); err == nil {
		cfg.Procedure = kept
	}
	if o.procedure != "" {
		if cfg.Procedure, err = os.ReadFile(o.procedure); err != nil {
			return err
		}
	}
	slog.SetLogLoggerLevel(slog.LevelWarn)
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	began := time.Now()
	r, err := rig.Start(starting, cfg)
	if err != nil {
		return err
	}
	defer r.Stop()
	if err := writeSettings(r, devPerson, settings.Local); err != nil {
		return err
	}
	a.devBanner(r, dir, time.Since(began))
	return r.Wait(ctx)
}

func (a *app) devBanner(r *rig.Rig, dir string, took time.Duration) {
	w := a.out
	fmt.Fprintf(w, "Shipwarden is ready after %s. Not for production: one machine, plain text, one person's keys.\n\n", took.Round(time.Millisecond))
	fmt.Fprintf(w, "  bus        %s   (users %s, %s; passwords in %s)\n", r.NATSURL(), rig.UserCI, rig.UserObserver, filepath.Join(dir, "state", "secrets"))
	fmt.Fprintf(w, "  approval   %s   (gRPC, reflection on)\n", r.ApprovalURL)
	fmt.Fprintf(w, "  recorder   %s   (gRPC, reflection on)\n", r.RecorderURL)
	for _, name := range []string{"approval", "validator", "executor", "recorder"} {
		fmt.Fprintf(w, "  %-9s  http://%s/metrics, /healthz, /readyz\n", name, r.HTTP[name])
	}
	fmt.Fprintf(w, "  state      %s   (delete it to begin anew)\n", dir)
	fmt.Fprintf(w, "  CLI        %s   (you are %s; --token-file makes you somebody else)\n\n", settings.Local, devPerson)
	fmt.Fprintln(w, "Try `shipwarden pending` or `shipwarden get` in another terminal. Ctrl-C stops it.")
}

func newDemo(a *app) *cobra.Command {
	var dir, source string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story once, with real parts",
		Long: "Starts everything in one process, releases a small HTTP service, has a bad version\n" +
			"rolled back by itself, carries an emergency through with its review debt, and a\n" +
			"release through a freeze. Ends with 0 only if all of that happened.",
		Example: "  shipwarden demo",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			state, err := a.stateDir(dir, "demo")
			if err != nil {
				return err
			}
			slog.SetLogLoggerLevel(slog.LevelError)
			return demo.Run(cmd.Context(), demo.Config{
				Dir: state, Source: source, Out: a.out, Paint: a.paint(),
			})
		}),
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of everything that is made; replaced (default .shipwarden/demo)")
	c.Flags().StringVar(&source, "shop", "examples/shop", "folder of the example application")
	return c
}

// stateDir is the folder that was asked for, or one in .shipwarden. Where the user
// who runs PostgreSQL cannot reach that, as below /root, it is one for temporary
// files that stay.
func (a *app) stateDir(asked, name string) (string, error) {
	dir := asked
	if dir == "" {
		dir = filepath.Join(".shipwarden", name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	err = postgres.CheckDir(dir)
	if asked != "" || !errors.Is(err, postgres.ErrUnreachable) {
		return dir, ignoreMissing(err)
	}
	sum := sha256.Sum256([]byte(dir))
	elsewhere := filepath.Join("/var/tmp", "shipwarden-"+hex.EncodeToString(sum[:4]), name)
	a.say("PostgreSQL cannot reach %s as its own user; using %s instead.", dir, elsewhere)
	return elsewhere, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeSettings writes a context file that leads to a rig, for one of its people.
func writeSettings(r *rig.Rig, person, file string) error {
	out, err := settings.Settings{
		ApprovalURL: r.ApprovalURL, RecorderURL: r.RecorderURL, TokenFile: r.TokenFile(person),
		NATSURL: r.NATSURL(), NATSUser: rig.UserCI, NATSPasswordFile: r.PasswordFile(rig.UserCI),
	}.File()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, out, 0o600)
}
