package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/loopback"
	"github.com/blackdice/shipwarden/internal/policy"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Config says what to set up.
type Config struct {
	// Dir holds everything. It must be reachable by the user who runs PostgreSQL.
	Dir string
	// Procedure is the procedure document, YAML. It takes effect where none is yet; with
	// Override also where another one is, as an administrator can do.
	Procedure []byte
	Override  bool
	// SigstoreRoot is the trusted root that the document names, JSON; nil where it names
	// none.
	SigstoreRoot []byte
	// Targets, Places and Channels are the services' configuration of the world.
	Targets    []*configv1.TargetDriver
	Places     []*configv1.TargetAddress
	Channels   []*configv1.ChannelAddress
	Registries []*configv1.Registry
	// AlertSources are where approval service and executor ask for alerts.
	AlertSources []*configv1.AlertSource
	// MetricSources are where the validator asks for metrics, LogSources where it counts lines,
	// Clusters where it looks at workloads, and CheckCommands the programs that it may run.
	MetricSources  []*configv1.MetricSource
	CheckCommands  []*configv1.CheckCommand
	LogSources     []*configv1.MetricSource
	Clusters       []*configv1.KubernetesCluster
	ArtifactFolder string
	// OIDC is a provider whose tokens both gRPC services take, nil for none, and
	// ReaderGroups those of its groups that read the record.
	OIDC         *configv1.Oidc
	ReaderGroups []string
	// Launch runs the services: inprocess.Launch, or Processes.
	Launch Launcher
	// BusProgram is the program that runs the bus as a process of its own (e2e/natsd);
	// empty means that it runs in this process.
	BusProgram string
	// Ports of the bus and of the two gRPC services; 0 means free ones.
	NATSPort, ApprovalPort, RecorderPort int
	// Unsafe does without syncing to disk, which suits only tests that lose no power.
	Unsafe bool
	// Reconcile is how often the executor looks for what was changed without a release; 0
	// means its default.
	Reconcile time.Duration
	// AckWait and Workers are those of the services; 0 means their defaults.
	AckWait  time.Duration
	Workers  uint32
	LogLevel configv1.Log_Level
}

// Rig is a running Shipwarden.
type Rig struct {
	// ApprovalURL and RecorderURL are host:port of the gRPC services, HTTP those of
	// every service's metrics and health.
	ApprovalURL string
	RecorderURL string
	HTTP        map[string]string
	// DatabaseURL is that of the database's owner. A secret.
	DatabaseURL string
	// BusPID is the process of a bus that is one of its own; 0 where it is not.
	BusPID int

	cfg      Config
	document *policyv1.Procedure
	natsURL  string
	synced   bool // the bus within this process syncs every write
	undos    []func()
	running  map[string]*running
}

type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Start sets everything up and returns when every service is ready. On an error
// nothing is left running.
func Start(ctx context.Context, cfg Config) (*Rig, error) {
	r := &Rig{cfg: cfg, HTTP: map[string]string{}, running: map[string]*running{}}
	if err := r.start(ctx); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	// The two servers need nothing of each other.
	var bus, database error
	var both sync.WaitGroup
	undoDatabase := &Rig{cfg: r.cfg}
	both.Go(func() { bus = r.bus(ctx) })
	both.Go(func() { database = undoDatabase.database(ctx) })
	both.Wait()
	r.DatabaseURL, r.undos = undoDatabase.DatabaseURL, append(r.undos, undoDatabase.undos...)
	if err := errors.Join(bus, database); err != nil {
		return err
	}
	if err := r.configure(); err != nil {
		return err
	}
	if r.cfg.Override {
		if err := r.override(ctx, r.ProcedureFile(), "another document was given at the start"); err != nil {
			return err
		}
	}
	for _, name := range services {
		r.StartService(ctx, name)
	}
	for _, name := range services {
		if err := r.WaitReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the folders, reads the procedure document, and picks the ports.
func (r *Rig) prepare() error {
	for _, dir := range []string{"", "bus", "secrets", "config"} {
		if err := os.MkdirAll(filepath.Join(r.cfg.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	doc, err := policy.Parse(r.cfg.Procedure, "procedure.yaml")
	if err != nil {
		return err
	}
	r.document = doc
	if err := os.WriteFile(r.ProcedureFile(), r.cfg.Procedure, 0o600); err != nil {
		return err
	}
	if r.cfg.SigstoreRoot != nil {
		if err := os.WriteFile(r.SigstoreRootFile(), r.cfg.SigstoreRoot, 0o600); err != nil {
			return err
		}
	}
	if r.cfg.NATSPort != 0 {
		if _, err := loopback.Free(r.cfg.NATSPort); err != nil {
			return err
		}
	}
	if r.ApprovalURL, err = r.address(r.cfg.ApprovalPort); err != nil {
		return err
	}
	if r.RecorderURL, err = r.address(r.cfg.RecorderPort); err != nil {
		return err
	}
	for _, name := range services {
		if r.HTTP[name], err = r.address(0); err != nil {
			return err
		}
	}
	return nil
}

// StartService starts a service. It goes on until StopService or Stop.
func (r *Rig) StartService(ctx context.Context, name string) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &running{cancel: cancel, done: make(chan struct{})}
	r.running[name] = s
	go func() {
		defer close(s.done)
		s.err = r.cfg.Launch(ctx, name, r.configFile(name))
	}()
}

// StopService stops a service and returns how it ended.
func (r *Rig) StopService(name string) error {
	s := r.running[name]
	s.cancel()
	<-s.done
	return s.err
}

// WaitReady returns when the service says that it can work.
func (r *Rig) WaitReady(ctx context.Context, name string) error {
	s := r.running[name]
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ready(ctx, r.HTTP[name]) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", name, ctx.Err())
		case <-s.done:
			return fmt.Errorf("service %s ended: %w", name, s.err)
		case <-ticker.C:
		}
	}
}

func ready(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Wait returns when the context ends, or with an error when a service ended by
// itself.
func (r *Rig) Wait(ctx context.Context) error {
	ended := make(chan error, len(r.running))
	for name, s := range r.running {
		go func() {
			<-s.done
			ended <- fmt.Errorf("service %s ended: %w", name, s.err)
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// Stop stops everything, the services first.
func (r *Rig) Stop() {
	for _, s := range r.running {
		s.cancel()
	}
	for _, s := range r.running {
		<-s.done
	}
	for i := len(r.undos) - 1; i >= 0; i-- {
		r.undos[i]()
	}
	r.undos = nil
}

func (r *Rig) undo(f func()) { r.undos = append(r.undos, f) }

// SigstoreRootFile is where the trusted root lies, where there is one.
func (r *Rig) SigstoreRootFile() string { return filepath.Join(r.cfg.Dir, "trusted_root.json") }
