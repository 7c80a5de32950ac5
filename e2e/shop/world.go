package shop

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/loopback"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

//go:embed procedure.yaml.tmpl
var procedureTemplate string

// World is the shop's surroundings. Its folder survives a restart.
type World struct {
	// Targets are the ids of the two targets.
	Targets []string
	// Rules are what the procedure document leaves open.
	Rules Rules
	// Cache is a folder in which what is built is kept for other worlds; empty: none.
	Cache string

	dir     string
	source  string
	keys    map[string]ed25519.PrivateKey
	address map[string]string
	undos   []func()
}

// Rules are what the procedure document leaves open.
type Rules struct {
	Version string
	// Supersede makes a newer request take the place of older ones.
	Supersede bool
	// Ask makes a person decide what an inconclusive verification means; otherwise it
	// is a failure.
	Ask bool
	// Notice makes execution wait until the channel "operations" was told.
	Notice bool
	// FreezeStart and FreezeEnd are the campaign in which nothing starts.
	FreezeStart, FreezeEnd time.Time
	// ReviewWithin and ReviewGrace are those of emergencies.
	ReviewWithin, ReviewGrace time.Duration
	// Recheck is after how long what waits for something without a known end looks again.
	Recheck time.Duration
	// CompareLast is with how many releases a change of the document is compared before it may
	// take effect; 0 for none.
	CompareLast int
	// LookEvery and LookFor are how often, and for how long, what was verified is looked at again;
	// 0 for not at all.
	LookEvery, LookFor time.Duration
	// Incidents says that an open incident holds other releases.
	Incidents bool
}

// DefaultRules are those of the first version of the document.
func DefaultRules() Rules {
	return Rules{Version: "1.0", Supersede: true, ReviewWithin: 48 * time.Hour, ReviewGrace: 24 * time.Hour, Recheck: time.Second}
}

// systems are the ones whose word counts for a gate.
var systems = []string{"review-system", "ci-tests", "ci-builder"}

// New makes or finds the world in a folder. Source is the folder of examples/shop.
func New(dir, source string) (*World, error) {
	w := &World{
		Targets: []string{"shop-eu1", "shop-us1"}, Rules: DefaultRules(), dir: dir, source: source,
		keys: map[string]ed25519.PrivateKey{}, address: map[string]string{},
	}
	for _, sub := range []string{"artifacts", "targets", "systems", "bin", "requests"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	for _, name := range systems {
		key, err := rig.Key(filepath.Join(dir, "systems", name+".pem"))
		if err != nil {
			return nil, err
		}
		w.keys[name] = key
	}
	for _, t := range w.Targets {
		address, err := w.place(t)
		if err != nil {
			return nil, err
		}
		w.address[t] = address
	}
	return w, nil
}

// place makes the folder of a target and gives it an address that it keeps.
func (w *World) place(target string) (string, error) {
	folder := w.folder(target)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	kept := filepath.Join(folder, "address")
	if raw, err := os.ReadFile(kept); err == nil {
		return string(raw), nil
	}
	address, release, err := loopback.Reserve()
	if err != nil {
		return "", err
	}
	w.undos = append(w.undos, release)
	return address, os.WriteFile(kept, []byte(address), 0o600)
}

func (w *World) folder(target string) string { return filepath.Join(w.dir, "targets", target) }

// Folder is the folder of a target, where the driver keeps its ledger.
func (w *World) Folder(target string) string { return w.folder(target) }

// URL is where the shop answers on a target.
func (w *World) URL(target string) string { return "http://" + w.address[target] }

// Procedure is the procedure document under the present rules.
func (w *World) Procedure() ([]byte, error) {
	keys := map[string]string{}
	for name, key := range w.keys {
		keys[name] = base64.StdEncoding.EncodeToString(rig.Public(key))
	}
	t, err := template.New("procedure").Parse(procedureTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Rules
		Keys    map[string]string
		Targets []string
	}{w.Rules, keys, w.Targets})
	return out.Bytes(), err
}

// Configure gives a rig everything that it must know of the world.
func (w *World) Configure(cfg rig.Config) (rig.Config, error) {
	var err error
	if cfg.Procedure, err = w.Procedure(); err != nil {
		return cfg, err
	}
	cfg.ArtifactFolder = filepath.Join(w.dir, "artifacts")
	for _, t := range w.Targets {
		cfg.Targets = append(cfg.Targets, &configv1.TargetDriver{Target: t, Driver: &configv1.TargetDriver_Host{Host: &configv1.HostDriver{
			Folder: w.folder(t),
			Restart: &configv1.Command{
				Argv:    []string{w.shopctl(), "restart", "-folder", "{folder}", "-listen", w.address[t], "-digest", "{digest}"},
				Timeout: durationpb.New(30 * time.Second),
			},
		}}})
		cfg.Places = append(cfg.Places, &configv1.TargetAddress{
			Target: t, BaseUrl: w.URL(t), TcpAddress: w.address[t], DigestPath: "/digest",
		})
	}
	return cfg, nil
}

func (w *World) shopctl() string { return filepath.Join(w.dir, "bin", "shopctl") }

// BuildTools builds what the targets need, once.
func (w *World) BuildTools(ctx context.Context) error {
	return w.goBuild(ctx, "./shopctl", w.shopctl(), "")
}

// Artifact is a version that was built.
type Artifact struct {
	Version  string
	Location string
	Digest   string
}

// Build builds a version of the shop. With unhealthyAfter it answers its health
// check for so long, and then no more.
func (w *World) Build(ctx context.Context, version string, unhealthyAfter time.Duration) (Artifact, error) {
	name := "shop-" + version
	path := filepath.Join(w.dir, "artifacts", name)
	if err := w.goBuild(ctx, ".", path, "-X main.version="+version+" -X main.unhealthyAfter="+unhealthyAfter.String()); err != nil {
		return Artifact{}, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Artifact{}, err
	}
	sum := sha256.Sum256(content)
	return Artifact{Version: version, Location: name, Digest: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

func (w *World) goBuild(ctx context.Context, pkg, out, linker string) error {
	if w.Cache == "" {
		return w.goTool(ctx, pkg, out, linker)
	}
	sum := sha256.Sum256([]byte(pkg + " " + linker))
	kept := filepath.Join(w.Cache, hex.EncodeToString(sum[:]))
	if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
		// Under its name it is there whole or not at all: other worlds look for it.
		next := kept + "." + rand.Text()
		if err := w.goTool(ctx, pkg, next, linker); err != nil {
			return err
		}
		if err := os.Rename(next, kept); err != nil {
			return err
		}
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A link, and no copy: a program that was just written cannot be started while a
	// process that was forked meanwhile still has it open.
	return os.Link(kept, out)
}

func (w *World) goTool(ctx context.Context, pkg, out, linker string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w "+linker, "-o", out, pkg) //nolint:gosec // Our own source.
	cmd.Dir = w.source
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Resume starts the shop again on every target that carries it, as a machine does
// when it was switched off.
func (w *World) Resume(ctx context.Context) error {
	for _, t := range w.Targets {
		release, err := os.Readlink(filepath.Join(w.folder(t), "current"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, w.shopctl(), "restart", "-folder", w.folder(t), //nolint:gosec // Our own program.
			"-listen", w.address[t], "-digest", "sha256:"+filepath.Base(release))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("start the shop on %s: %w\n%s", t, err, out)
		}
	}
	return nil
}

// Halt ends the shop on one target, as a machine does that has trouble.
func (w *World) Halt(ctx context.Context, target string) error {
	cmd := exec.CommandContext(ctx, w.shopctl(), "stop", "-folder", w.folder(target)) //nolint:gosec // Our own program.
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stop the shop on %s: %w\n%s", target, err, out)
	}
	return nil
}

// Stop ends the shop on every target.
func (w *World) Stop(ctx context.Context) {
	for _, t := range w.Targets {
		_ = exec.CommandContext(ctx, w.shopctl(), "stop", "-folder", w.folder(t)).Run() //nolint:gosec // Our own program.
	}
	for _, undo := range w.undos {
		undo()
	}
	w.undos = nil
}
