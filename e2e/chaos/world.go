package chaos

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/attest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

//go:embed procedure.yaml.tmpl
var procedureTemplate string

// environment is the only one.
const environment = "production"

// world is what is released, and where to: artifacts, targets that can be looked
// at, and the systems that attest.
type world struct {
	dir  string
	plan plan
	key  ed25519.PrivateKey
	// people are the keys of those who approve, by their ids.
	people map[string]ssh.Signer
	// unsigned says that approvals count without.
	unsigned bool
	// long is how long the freeze lasts once the services are started, freeze when it ends.
	long   time.Duration
	freeze time.Time
	base   string // of the pages of the targets
	// weather is what systems around say.
	weather *weather
	// bus is how the bucket of the config targets is read, as soon as there is one.
	bus atomic.Pointer[nats.Conn]
}

func newWorld(dir string, p plan, freeze time.Duration) (*world, error) {
	for _, sub := range []string{"artifacts", "hosts", "commands", "points/noop"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	key, err := rig.Key(filepath.Join(dir, "attester.pem"))
	if err != nil {
		return nil, err
	}
	around, err := newWeather(dir)
	if err != nil {
		return nil, err
	}
	people, err := personKeys(dir)
	return &world{dir: dir, plan: p, key: key, people: people, long: freeze, weather: around}, err
}

// serve answers for the targets until the context ends: /<target>/digest is what a
// target carries, /<target>/healthz whether that works.
func (w *world) serve(ctx context.Context) error {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.base = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{target}/digest", func(out http.ResponseWriter, r *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(out).Encode(map[string]string{"digest": w.carries(r.Context(), r.PathValue("target"))})
	})
	mux.HandleFunc("GET /{target}/healthz", func(out http.ResponseWriter, r *http.Request) {
		if w.bad(w.carries(r.Context(), r.PathValue("target"))) {
			out.WriteHeader(http.StatusInternalServerError)
		}
	})
	w.weather.handle(mux)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return nil
}

func (w *world) target(id string) targetPlan {
	i := slices.IndexFunc(w.plan.Targets, func(t targetPlan) bool { return t.ID == id })
	if i < 0 {
		return targetPlan{}
	}
	return w.plan.Targets[i]
}

// carries is what a target carries by its own state: the bytes that an application would read
// there, and the ledger of those that have no more than that.
func (w *world) carries(ctx context.Context, id string) string {
	t := w.target(id)
	switch t.Kind {
	case kindHost:
		text, err := os.ReadFile(filepath.Join(w.dir, "hosts", id, "current", t.Service))
		if err != nil {
			return ""
		}
		return digestOf(string(text))
	case kindConfig:
		digest, err := w.document(ctx, id)
		if err != nil {
			return ""
		}
		return digest
	}
	effects, err := w.effects(t)
	if err != nil || len(effects) == 0 {
		return ""
	}
	return effects[len(effects)-1].Digest
}

// content is that of a version's artifact, a configuration document that is placed as a file
// as well. Bad ones say so, and their digests are known from that.
func content(version, fate string) string {
	return "version: " + version + "\nstate: " + map[bool]string{true: "bad", false: "good"}[fate == fateBad] + "\n"
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func versionOf(n int) string { return fmt.Sprintf("1.%d.0", n) }

func (w *world) bad(digest string) bool {
	for _, lane := range w.plan.Releases {
		for _, r := range lane {
			if r.Fate == fateBad && digestOf(content(versionOf(r.Number), r.Fate)) == digest {
				return true
			}
		}
	}
	return false
}

// request is what CI sends for a release.
func (w *world) request(l lane, p releasePlan, at time.Time) (*releasev1.Request, error) {
	version := versionOf(p.Number)
	text := content(version, p.Fate)
	location, kind := "artifact-"+version+".yaml", releasev1.ArtifactKind_ARTIFACT_KIND_FILE
	if w.target(l.Waves[0][0]).Kind == kindConfig {
		kind = releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION
	}
	if err := os.WriteFile(filepath.Join(w.dir, "artifacts", location), []byte(text), 0o600); err != nil {
		return nil, err
	}
	r := &releasev1.Request{
		IdempotencyKey: p.Key, Service: l.Service, Environment: environment, Trigger: releasev1.Trigger_TRIGGER_PLANNED,
		Version: version, ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CHG-" + p.Key},
		Artifacts: []*releasev1.Artifact{{
			Name: l.Service, Kind: kind, Location: location, Digest: digestOf(text),
		}},
		Owner: "alice", Requester: "ci-bot", Authors: []string{"bob"},
		Plan: &releasev1.Plan{Description: "Place " + version + "."},
		RollbackPlan: &releasev1.RollbackPlan{
			Strategy: releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION, Description: "Go back.", Recovery: "Take it out of service.",
		},
		Validation: &releasev1.Validation{
			Checks: []*releasev1.Check{{Name: "healthy", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/healthz"}}}},
			Bake:   durationpb.New(300 * time.Millisecond), Interval: durationpb.New(100 * time.Millisecond),
		},
		Risk: &releasev1.Risk{Data: releasev1.Risk_DATA_UNCHANGED, Description: "None known."},
	}
	for _, wave := range l.Waves {
		r.Plan.Waves = append(r.GetPlan().GetWaves(), &releasev1.Wave{Targets: wave})
	}
	if p.NotBefore > 0 {
		r.NotBefore = timestamppb.New(at.Add(p.NotBefore))
	}
	gates := []string{"code-review", "tests"}
	if p.Fate == fateEmergency {
		r.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY
		r.Emergency = &releasev1.Emergency{Reason: "Payments fail for every tenth customer.", Incident: "INC-1"}
		gates = gates[:1]
	}
	for _, gate := range gates {
		e, err := w.attest(gate, location, digestOf(text))
		if err != nil {
			return nil, err
		}
		r.Evidence = append(r.GetEvidence(), e)
	}
	return r, nil
}

func (w *world) attest(gate, location, digest string) ([]byte, error) {
	s := attest.Statement{Subjects: []attest.Subject{{Name: location, Digest: digest}}}
	if gate == "tests" {
		s.PredicateType, s.Predicate = "https://in-toto.io/attestation/test-result/v0.1", map[string]any{"result": "PASSED"}
		return attest.Sign(s, "attester", w.key)
	}
	s.PredicateType = "https://github.com/blackdice/shipwarden/predicate/code-review/v1"
	s.Predicate = map[string]any{"result": "approved", "authors": []string{"bob"}, "reviewers": []string{"alice"}}
	return attest.Sign(s, "attester", w.key)
}

// procedure is the procedure document.
func (w *world) procedure() ([]byte, error) {
	t, err := template.New("procedure").Parse(procedureTemplate)
	if err != nil {
		return nil, err
	}
	var services []string
	for _, l := range w.plan.Lanes {
		if !slices.Contains(services, l.Service) {
			services = append(services, l.Service)
		}
	}
	const stamp = "2006-01-02T15:04:05.000Z"
	keys := map[string]string{}
	for person, key := range w.people {
		keys[person] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Key": base64.StdEncoding.EncodeToString(rig.Public(w.key)), "Services": services, "Targets": w.plan.Targets, "People": keys, "Signed": !w.unsigned,
		"Watched": watched, "FreezeStart": w.freeze.Add(-time.Hour).UTC().Format(stamp), "FreezeEnd": w.freeze.UTC().Format(stamp),
	})
	return []byte(strings.TrimSpace(out.String()) + "\n"), err
}
