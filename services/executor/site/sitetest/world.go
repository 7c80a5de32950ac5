package sitetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
)

// AckWait is how long the server waits for a sign of life of an executor.
const AckWait = 2 * time.Second

// CommandTime is the longest time that a command of a target may take.
const CommandTime = 5 * time.Second

// World is everything around the executors of one test.
type World struct {
	natstest.Server
	// Folder holds the artifacts and the targets.
	Folder string
	// Targets is the configuration of the executors.
	Targets []*configv1.TargetDriver
	// Digest is that of the procedure document under which releases are made.
	Digest string
	// Depth is how deep targets lie among those of their releases; those that are left out
	// depend on none.
	Depth map[string]uint32

	stores map[string]*eventstore.Store
}

// Target says how a target is reached; folder is the world's.
type Target func(folder string) *configv1.TargetDriver

// Noop is a fenced target that keeps a ledger and changes nothing.
func Noop(id string) Target {
	return func(string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: id, Driver: &configv1.TargetDriver_Noop{Noop: &configv1.NoopDriver{}}}
	}
}

// Host is a fenced target in a folder whose application is the test binary.
func Host(id string) Target {
	return func(folder string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: id, Driver: &configv1.TargetDriver_Host{Host: &configv1.HostDriver{
			Folder: filepath.Join(folder, "targets", id),
			Restart: &configv1.Command{
				Argv: []string{executable(), "{digest}"}, Env: drivertest.NewApp(filepath.Join(folder, id+".app")).Env(),
			},
		}}}
	}
}

// Command is an opaque target that the test binary deploys to.
func Command(id string) Target {
	return func(folder string) *configv1.TargetDriver {
		run := &configv1.Command{Argv: []string{executable(), "{digest}"}, Env: drivertest.NewApp(filepath.Join(folder, id+".app")).Env(), Timeout: durationpb.New(CommandTime)}
		return &configv1.TargetDriver{Target: id, Driver: &configv1.TargetDriver_Command{Command: &configv1.CommandDriver{
			Deploy: run, Rollback: run, MarkerFolder: filepath.Join(folder, "targets", id), Allow: []string{executable()},
		}}}
	}
}

// Asking is Command with a tool that says what would change, and one that tries the way
// back: scripts that print what is in a file (Says).
func Asking(id string) Target {
	return func(folder string) *configv1.TargetDriver {
		out := Command(id)(folder)
		ask := func(file string) *configv1.Command {
			return &configv1.Command{Argv: []string{"/bin/sh", "-c", `
				while read -r line; do case "$line" in fail) exit 3 ;; pid) line=$$ ;; esac; echo "$line"; done < "$0"`, filepath.Join(folder, id+file)}}
		}
		c := out.GetCommand()
		c.Preview, c.RollbackDryRun, c.Allow = ask(".preview"), ask(".back"), append(c.GetAllow(), "/bin/sh")
		return out
	}
}

// Says is what the tools of an Asking target say: lines, of which "fail" ends with an error,
// and "pid" is another one each time.
func (w *World) Says(t *testing.T, id, preview, back string) {
	t.Helper()
	for file, text := range map[string]string{".preview": preview, ".back": back} {
		if err := os.WriteFile(filepath.Join(w.Folder, id+file), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "" // The driver refuses an empty path, and says so.
	}
	return path
}

// Document is the procedure document of a world, with more lines at its end.
func Document(more string) string {
	return Without("nobody") + more
}

// Without is the procedure document of a world in which a person is in no group.
func Without(person string) string {
	out := "id: PROC-DEPLOY-001\nversion: \"1.0\"\ndeadlines:\n  recheck: 1s\npeople:\n"
	in := func(all ...string) string {
		return strings.Join(slices.DeleteFunc(all, func(p string) bool { return p == person }), ", ")
	}
	for _, p := range []string{"anna", "ben", "eve"} {
		out += fmt.Sprintf("  - {id: %s, name: %s}\n", p, p)
	}
	return out + "groups:\n" +
		"  - {name: release-managers, members: [" + in("anna") + "]}\n" +
		"  - {name: security, members: [" + in("ben") + "]}\n" +
		"  - {name: incident-commanders, members: [" + in("eve") + "]}\n"
}

// New starts a server, makes the streams and the targets' configuration.
func New(t *testing.T, targets ...Target) *World {
	t.Helper()
	return On(t, natstest.Single(t), targets...)
}

// On is New on servers that have no streams yet.
func On(t *testing.T, n natstest.Server, targets ...Target) *World {
	t.Helper()
	w := &World{Server: n, Folder: t.TempDir(), stores: map[string]*eventstore.Store{}}
	if err := eventstore.Provision(t.Context(), w.JetStream(), eventstoretest.Topology(w).WithAckWait(AckWait)); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder} {
		w.stores[service] = eventstoretest.Store(w, service)
	}
	for _, target := range targets {
		w.Targets = append(w.Targets, target(w.Folder))
	}
	w.Digest = w.Keep(t, Document(""))
	for version := 1; version <= 3; version++ {
		w.Place(t, version)
	}
	return w
}

// Keep keeps a document as evidence and returns its digest.
func (w *World) Keep(t *testing.T, document string) string {
	t.Helper()
	ref, err := evidence.New(w.JetStream()).Put(t.Context(), "application/yaml", "procedure", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return ref.GetDigest()
}

// Activate keeps a procedure document and puts it into effect.
func (w *World) Activate(t *testing.T, document string) string {
	t.Helper()
	digest := w.Keep(t, document)
	active, err := standing.ReadProcedure(t.Context(), w.Store(procedure.ServiceApproval), "PROC-DEPLOY-001")
	if err != nil {
		t.Fatal(err)
	}
	w.Append(t, procedure.ServiceApproval, active.Draft(&releasev1.Event{ProcedureDigest: digest, Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.1", Digest: digest},
	}}))
	return digest
}

// Store is the view of the record of a service.
func (w *World) Store(service string) *eventstore.Store { return w.stores[service] }

// Append stores drafts by a service.
func (w *World) Append(t *testing.T, service string, drafts ...eventstore.Draft) []eventstore.Stored {
	t.Helper()
	stored, err := w.stores[service].Append(t.Context(), drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// Location is where a version's artifact lies, below Artifacts.
func Location(version int) string { return fmt.Sprintf("shop/%d/shop", version) }

// Content is a version's artifact.
func Content(version int) []byte { return fmt.Appendf(nil, "version %d\n", version) }

// DigestOf is the digest of a version's artifact.
func DigestOf(version int) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(Content(version))) }

// Artifacts is the artifact folder.
func (w *World) Artifacts() string { return filepath.Join(w.Folder, "artifacts") }

// Place puts a version's artifact into the artifact folder.
func (w *World) Place(t *testing.T, version int) {
	t.Helper()
	path := filepath.Join(w.Artifacts(), Location(version))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, Content(version), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Driver is a new driver of the target, as a newly started executor has it.
func (w *World) Driver(t *testing.T, target string) driver.Driver {
	t.Helper()
	all, err := open(w.Targets, w.Folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all[target]
}

// Carries makes a target carry a version, by its driver and by the record.
func (w *World) Carries(t *testing.T, target string, version int) {
	t.Helper()
	store := w.Store(procedure.ServiceExecutor)
	epoch, err := store.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	was, err := standing.ReadTarget(t.Context(), store, target)
	if err != nil {
		t.Fatal(err)
	}
	release := fmt.Sprintf("shop-earlier-%d-%d", version, was.State.GetGeneration())
	plan := drivertest.Plan(target, version)
	plan.Artifact = drivertest.File("shop", Location(version), Content(version))
	if _, err := w.Driver(t, target).Apply(t.Context(), driver.ApplyKey(release, 0, 1), driver.Fence{Epoch: epoch, Sequence: was.Fence + 1}, plan); err != nil {
		t.Fatal(err)
	}
	w.Unlock(t, target, release, standing.Carrying(was.State, &releasev1.Deployment{
		Release: release, Version: plan.Version, Digest: plan.Artifact.Digest, Service: "shop", Time: timestamppb.Now(),
	}))
}

// Unlock says that a release let a target go, which is as given from then on.
func (w *World) Unlock(t *testing.T, target, release string, state *releasev1.TargetState) {
	t.Helper()
	now := w.Standing(t, target)
	w.Append(t, procedure.ServiceExecutor, now.Draft(&releasev1.Event{ProcedureDigest: w.Digest, Data: &releasev1.Event_TargetUnlocked{
		TargetUnlocked: &releasev1.TargetUnlocked{Release: release, State: state},
	}}))
}

// Lock says that a release holds a target, without any claim.
func (w *World) Lock(t *testing.T, target, release, claimer string) {
	t.Helper()
	now := w.Standing(t, target)
	w.Append(t, procedure.ServiceExecutor, now.Draft(&releasev1.Event{ProcedureDigest: w.Digest, Data: &releasev1.Event_TargetLocked{
		TargetLocked: &releasev1.TargetLocked{
			Release: release, Claimer: claimer, LeaseUntil: timestamppb.New(time.Now().Add(time.Hour)), State: now.State,
		},
	}}))
}

// Standing is what the record says of a target.
func (w *World) Standing(t *testing.T, target string) standing.Target {
	t.Helper()
	s, err := standing.ReadTarget(t.Context(), w.Store(procedure.ServiceExecutor), target)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Running is the version that the target carries, by its driver; 0 for nothing.
func (w *World) Running(t *testing.T, target string) int {
	t.Helper()
	digest, err := w.Driver(t, target).Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if digest == "" {
		return 0
	}
	for version := range 100 {
		if DigestOf(version) == digest {
			return version
		}
	}
	t.Fatalf("target %s carries %s, which is no version", target, digest)
	return 0
}

// Effects is what the target's own ledger says happened to it for a release.
func (w *World) Effects(t *testing.T, target, release string) []ledger.Entry {
	t.Helper()
	path := filepath.Join(w.Folder, "noop", target, noop.LedgerName)
	if i := slices.IndexFunc(w.Targets, func(d *configv1.TargetDriver) bool { return d.GetTarget() == target }); w.Targets[i].GetHost() != nil {
		path = filepath.Join(w.Targets[i].GetHost().GetFolder(), noop.LedgerName)
	}
	all, err := ledger.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e ledger.Entry) bool { return !e.IsEffect() || !ofRelease(e.Key, release) })
}

func ofRelease(key driver.Key, release string) bool {
	return len(key) > len(release) && string(key[:len(release)+1]) == release+"/"
}

// Starts is how often an application or a command was run, as it saw it itself.
func (w *World) Starts(t *testing.T, target string) []string {
	t.Helper()
	return drivertest.NewApp(filepath.Join(w.Folder, target+".app")).Starts(t)
}

// Occupy holds a host target as another executor at work would, until the function
// that it returns is called.
func (w *World) Occupy(t *testing.T, target string) (release func()) {
	t.Helper()
	i := slices.IndexFunc(w.Targets, func(d *configv1.TargetDriver) bool { return d.GetTarget() == target })
	held, err := fence.File{Folder: w.Targets[i].GetHost().GetFolder()}.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Unlock)
	return held.Unlock
}

// Earlier makes a target carry a version as Carries does, with a release on record that
// placed it: of the artifact that version has, or as changed.
func (w *World) Earlier(t *testing.T, target string, version int, changes ...func(*releasev1.Request)) *Release {
	t.Helper()
	changes = append([]func(*releasev1.Request){Version(version), proceduretest.Key(fmt.Sprintf("earlier-%s-%d", target, version))}, changes...)
	r := w.Release(t, changes...)
	r.To(t, procedure.PhasePreview)
	was, digest := w.Standing(t, target), r.Asked.GetArtifacts()[0].GetDigest()
	plan := drivertest.Plan(target, version)
	plan.Artifact = artifact.New(&releasev1.Artifact{
		Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: Location(version), Digest: digest,
	}, 1, func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(Content(version))), nil
	})
	epoch, err := w.Store(procedure.ServiceExecutor).Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Driver(t, target).Apply(t.Context(), driver.ApplyKey(r.ID, 0, 1), driver.Fence{Epoch: epoch, Sequence: was.Fence + 1}, plan); err != nil {
		t.Fatal(err)
	}
	w.Unlock(t, target, r.ID, standing.Carrying(was.State, &releasev1.Deployment{
		Release: r.ID, Version: plan.Version, Digest: digest, Service: "shop", Time: timestamppb.Now(),
	}))
	return r
}
