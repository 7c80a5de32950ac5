package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/attest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

//go:embed procedure.yaml.tmpl
var procedureTemplate string

// environment, owner and approver of every release of the bench.
const (
	environment = "production"
	approver    = "carol"
	// bake is the shortest time that a validation may last.
	bake = 100 * time.Millisecond
)

// world is what is released in the bench, and into what: services with a target
// each, and an HTTP server that stands for all targets.
type world struct {
	dir       string
	key       ed25519.PrivateKey
	artifacts [2]string // digests
	evidence  []byte
	server    *http.Server
	address   string
	places    []*place
}

// place is one service and its target. It is used by one release at a time.
type place struct {
	service, target string
	version         int
	// carries is the digest that the target tells: the one whose release was begun
	// last, as the noop driver would place it.
	carries atomic.Pointer[string]
}

func newWorld(ctx context.Context, dir string, places int) (*world, error) {
	w := &world{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "artifacts"), 0o755); err != nil {
		return nil, err
	}
	var err error
	if w.key, err = rig.Key(filepath.Join(dir, "ci-tests.pem")); err != nil {
		return nil, err
	}
	statement := attest.Statement{
		PredicateType: "https://in-toto.io/attestation/test-result/v0.1",
		Predicate:     map[string]any{"result": "PASSED", "timestamp": time.Now().UTC().Format(time.RFC3339)},
	}
	for i := range w.artifacts {
		content := bytes.Repeat([]byte{'a' + byte(i)}, 4096)
		sum := sha256.Sum256(content)
		w.artifacts[i] = "sha256:" + hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(dir, "artifacts", artifact(i)), content, 0o600); err != nil {
			return nil, err
		}
		statement.Subjects = append(statement.Subjects, attest.Subject{Name: artifact(i), Digest: w.artifacts[i]})
	}
	if w.evidence, err = attest.Sign(statement, "ci-tests", w.key); err != nil {
		return nil, err
	}
	for i := range places {
		w.places = append(w.places, &place{service: fmt.Sprintf("service-%04d", i), target: fmt.Sprintf("target-%04d", i)})
	}
	return w, w.listen(ctx)
}

func artifact(i int) string { return fmt.Sprintf("artifact-%d", i) }

// listen serves /<number of the place>/digest and /<number>/healthz.
func (w *world) listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.address = l.Addr().String()
	w.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var n int
		var what string
		if _, err := fmt.Sscanf(strings.TrimPrefix(r.URL.Path, "/"), "%d/%s", &n, &what); err != nil || n < 0 || n >= len(w.places) {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		if d := w.places[n].carries.Load(); what == "digest" && d != nil {
			_, _ = rw.Write([]byte(*d))
		}
	})}
	go func() { _ = w.server.Serve(l) }()
	return nil
}

func (w *world) close() { _ = w.server.Close() }

// configure gives a rig everything that it must know of the world.
func (w *world) configure(cfg rig.Config) (rig.Config, error) {
	t, err := template.New("procedure").Parse(procedureTemplate)
	if err != nil {
		return cfg, err
	}
	var out bytes.Buffer
	type row struct{ Service, Target string }
	var rows []row
	for i, p := range w.places {
		rows = append(rows, row{p.service, p.target})
		cfg.Targets = append(cfg.Targets, &configv1.TargetDriver{Target: p.target, Driver: &configv1.TargetDriver_Noop{Noop: &configv1.NoopDriver{}}})
		cfg.Places = append(cfg.Places, &configv1.TargetAddress{
			Target: p.target, BaseUrl: fmt.Sprintf("http://%s/%d", w.address, i), DigestPath: "/digest",
		})
	}
	err = t.Execute(&out, map[string]any{"Key": base64.StdEncoding.EncodeToString(rig.Public(w.key)), "Places": rows})
	cfg.Procedure, cfg.ArtifactFolder = out.Bytes(), filepath.Join(w.dir, "artifacts")
	return cfg, err
}

// next is the request for the place's next version.
func (w *world) next(p *place) *releasev1.Request {
	p.version++
	i := p.version % len(w.artifacts)
	digest := w.artifacts[i]
	p.carries.Store(&digest)
	version := fmt.Sprintf("1.0.%d", p.version)
	return &releasev1.Request{
		IdempotencyKey: fmt.Sprintf("%s-%d", p.service, p.version), Service: p.service, Environment: environment,
		Trigger: releasev1.Trigger_TRIGGER_PLANNED, Version: version, ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CHG-" + version},
		Artifacts: []*releasev1.Artifact{{
			Name: "app", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: artifact(i), Digest: digest,
		}},
		Owner: "alice", Requester: "ci-bot", Authors: []string{"bob"},
		Plan: &releasev1.Plan{Description: "Place version " + version + ".", Waves: []*releasev1.Wave{{Targets: []string{p.target}}}},
		RollbackPlan: &releasev1.RollbackPlan{
			Strategy:    releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION,
			Description: "Place the version before.", Recovery: "Where nothing was placed before: nothing is lost.",
		},
		Validation: &releasev1.Validation{
			// One sample is enough: with more releases than processors a target that
			// answers at once is still asked too late now and then.
			Checks: []*releasev1.Check{{
				Name: "healthy", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/healthz"}}, MinSamples: proto.Uint32(1),
			}},
			Bake: durationpb.New(bake), Interval: durationpb.New(bake),
		},
		Risk:     &releasev1.Risk{Data: releasev1.Risk_DATA_UNCHANGED, Description: "None known."},
		Evidence: [][]byte{w.evidence},
	}
}
