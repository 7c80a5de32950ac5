package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/ground"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/rig/inprocess"
	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/internal/policy"
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
			return trial(a.dev(cmd.Context(), o))
		}),
	}
	c.Flags().StringVar(&o.dir, "dir", "", "folder of everything that is stored (default .shipwarden/dev)")
	c.Flags().StringVar(&o.source, "shop", "examples/shop", "folder of the example application")
	c.Flags().StringVar(&o.procedure, "procedure", "", "procedure document (default: that of the shop)")
	c.Flags().StringVar(&o.root, "sigstore-root", "", "trusted root that the procedure document names by its digest, for the approval service and the executor (default: that of last time)")
	c.Flags().StringVar(&o.issuer, "oidc-provider", "", "OpenID Connect provider whose tokens both gRPC services take; its people log in with `shipwarden login`")
	c.Flags().StringVar(&o.audience, "oidc-audience", "shipwarden", "client of that provider that tokens are made out to")
	c.Flags().StringSliceVar(&o.readers, "oidc-reader-group", nil, "group of that provider whose members read the record")
	c.Flags().StringSliceVar(&o.alertmanagers, "alertmanager", nil, "NAME=URL of an Alertmanager that alerts of the procedure document are asked of, by its name there")
	c.Flags().StringSliceVar(&o.prometheuses, "prometheus", nil, "NAME=URL of a Prometheus that alerts of the procedure document are asked of, by its name there")
	c.Flags().StringSliceVar(&o.metrics, "metrics", nil, "NAME=URL of a Prometheus that checks ask for metrics, by its name in checks")
	c.Flags().StringSliceVar(&o.logs, "logs", nil, "NAME=URL of a Loki that checks count lines of logs in, by its name in checks")
	c.Flags().BoolVar(&o.freePorts, "free-ports", false, fmt.Sprintf("listen on ports that are free, instead of %d, %d and %d",
		devNATSPort, devApprovalPort, devRecorderPort))
	return c
}

// devOptions are the flags of dev.
type devOptions struct {
	dir, source, procedure, root string
	issuer, audience             string
	readers                      []string
	alertmanagers, prometheuses  []string
	metrics, logs                []string
	freePorts                    bool
}

func (a *app) dev(ctx context.Context, o devOptions) error {
	given, err := o.document()
	if err != nil {
		return err
	}
	if err := checkShop(o.source); err != nil {
		return err
	}
	if (o.issuer == "") != (len(o.readers) == 0) {
		return exit.Withf(exit.Usage, "--oidc-provider and --oidc-reader-group are given together or not at all: a provider knows more people than may read")
	}
	sources, err := o.alertSources()
	if err != nil {
		return err
	}
	metricSources, err := o.metricSources()
	if err != nil {
		return err
	}
	logSources, err := o.logSources()
	if err != nil {
		return err
	}
	dir, err := a.stateDir(o.dir, "dev")
	if err != nil {
		return err
	}
	release, err := ground.Take(dir)
	if err != nil {
		return err
	}
	defer release()
	if err := freeSettings(dir, settings.Local); err != nil {
		return err
	}
	world, err := shop.New(filepath.Join(dir, "world"), o.source)
	if err != nil {
		return err
	}
	if err := world.BuildTools(ctx); err != nil {
		return err
	}
	first, err := world.First(ctx)
	if err != nil {
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
	cfg := o.rig(dir)
	cfg.AlertSources, cfg.MetricSources, cfg.LogSources = sources, metricSources, logSources
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
	if given != nil {
		cfg.Procedure, cfg.Override = given, true
	}
	if cfg.SigstoreRoot, err = o.sigstoreRoot(cfg.Procedure, filepath.Join(dir, "state", "trusted_root.json")); err != nil {
		return err
	}
	slog.SetDefault(slog.New(calm{slog.NewTextHandler(a.process.Err, &slog.HandlerOptions{Level: slog.LevelWarn})}))
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	began := time.Now()
	r, err := rig.Start(starting, cfg)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: something listens there already, another `shipwarden dev` perhaps; --free-ports takes ports that are free", err)
	}
	if err != nil {
		return err
	}
	defer r.Stop()
	caller := settings.Settings{TokenFile: r.TokenFile(devPerson)}
	if o.issuer != "" {
		caller = settings.Settings{OIDCIssuer: o.issuer, OIDCClient: o.audience}
	}
	if err := writeSettings(r, caller, settings.Local); err != nil {
		return err
	}
	a.devBanner(r, dir, first, time.Since(began), o.issuer)
	return r.Wait(ctx)
}

// document is the procedure document that was asked for, nil where none was.
func (o devOptions) document() ([]byte, error) {
	if o.procedure == "" {
		return nil, nil
	}
	data, err := os.ReadFile(o.procedure)
	if err == nil {
		_, err = policy.Parse(data, o.procedure)
	}
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("--procedure: %w", err))
	}
	return data, nil
}

// sigstoreRoot is the trusted root that a document names: the one that is given, or that
// of last time. It is nil where the document names none.
func (o devOptions) sigstoreRoot(document []byte, last string) ([]byte, error) {
	parsed, err := policy.Parse(document, "procedure.yaml")
	if err != nil {
		return nil, err
	}
	want, path := parsed.GetSigstore().GetTrustedRoot(), o.root
	if want == "" && path == "" {
		return nil, nil
	}
	if path == "" {
		if path = last; !exists(last) {
			return nil, exit.Withf(exit.Usage, "--sigstore-root: required, because the procedure document names the trusted root %s", want)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("--sigstore-root: %w", err))
	}
	switch got := policy.Digest(data); {
	case want == "":
		return nil, exit.Withf(exit.Usage, "--sigstore-root %s: the procedure document names none", path)
	case got != want:
		return nil, exit.Withf(exit.Usage, "--sigstore-root %s: it is %s, and the procedure document names %s", path, got, want)
	}
	return data, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// rig is the configuration of what dev runs in its folder.
func (o devOptions) rig(dir string) rig.Config {
	cfg := rig.Config{Dir: filepath.Join(dir, "state"), Launch: inprocess.Launch, LogLevel: configv1.Log_LEVEL_WARN}
	if o.issuer != "" {
		cfg.OIDC, cfg.ReaderGroups = &configv1.Oidc{Issuer: o.issuer, Audience: o.audience}, o.readers
	}
	if !o.freePorts {
		cfg.NATSPort, cfg.ApprovalPort, cfg.RecorderPort = devNATSPort, devApprovalPort, devRecorderPort
	}
	return cfg
}

func (a *app) devBanner(r *rig.Rig, dir, first string, took time.Duration, issuer string) {
	w := a.out
	fmt.Fprintf(w, "Shipwarden is ready after %s. Not for production: one machine, plain text, one person's keys.\n\n", took.Round(time.Millisecond))
	synced := map[bool]string{true: "every write is synced", false: "A POWER CUT MAY TAKE BACK WHAT WAS STORED"}[r.SyncAlways()]
	fmt.Fprintf(w, "  bus        %s   (users %s, %s; passwords in %s; %s)\n", r.NATSURL(), rig.UserCI, rig.UserObserver, here(filepath.Join(dir, "state", "secrets")), synced)
	fmt.Fprintf(w, "  approval   %s   (gRPC, reflection on)\n", r.ApprovalURL)
	fmt.Fprintf(w, "  recorder   %s   (gRPC, reflection on)\n", r.RecorderURL)
	for _, name := range []string{"approval", "validator", "executor", "recorder"} {
		fmt.Fprintf(w, "  %-9s  http://%s/metrics, /healthz, /readyz\n", name, r.HTTP[name])
	}
	fmt.Fprintf(w, "  state      %s   (delete it to begin anew)\n", here(dir))
	fmt.Fprintf(w, "  keyring    %s   (shipwarden replay RELEASE --keyring …)\n", here(filepath.Join(dir, "state", "config", "keyring.yaml")))
	you := "you are " + devPerson + "; --token-file with a file of the secrets makes you somebody else"
	if issuer != "" {
		you = "log in with `shipwarden login`"
		if !settings.Loopback(issuer) {
			you = "log in with `shipwarden login --context " + settings.Local + "`, and name it so everywhere"
		}
	}
	fmt.Fprintf(w, "  CLI        %s   (%s)\n\n", settings.Local, you)
	fmt.Fprintf(w, "Ask for a release in another terminal with `shipwarden submit -f %s`,\n", here(first))
	fmt.Fprintln(w, "and try `shipwarden pending` or `shipwarden get`. Ctrl-C stops it.")
}
