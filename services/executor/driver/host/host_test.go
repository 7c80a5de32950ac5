package host_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/argv"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/host"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

func opened(t *testing.T, folder string) *host.Driver {
	t.Helper()
	d, err := open(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func apply(t *testing.T, d driver.Driver, sequence uint32, p driver.Plan) driver.Result {
	t.Helper()
	key := driver.ApplyKey("shop-"+p.Version[:1], 0, sequence)
	result, err := d.Apply(t.Context(), key, driver.Fence{Epoch: "e", Sequence: uint64(sequence)}, p)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func place(folder, digest string) string {
	return filepath.Join(folder, "shop", "releases", strings.TrimPrefix(digest, "sha256:"))
}

func TestFileBecomesAnExecutableBehindCurrent(t *testing.T) {
	folder := t.TempDir()
	p := plan(folder, 1)
	apply(t, opened(t, folder), 1, p)
	path := filepath.Join(folder, "shop", "current", "shop")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Fatalf("%v, %v", info, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "version 1\n" {
		t.Errorf("%q, %v", got, err)
	}
	if to, err := os.Readlink(filepath.Join(folder, "shop", "current")); err != nil || filepath.IsAbs(to) {
		t.Errorf("current points to %q, %v: the folder could not be moved", to, err)
	}
}

func archive(t *testing.T, names ...string) artifact.Artifact {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	w := tar.NewWriter(zip)
	for _, name := range names {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: 2})
		if err == nil {
			_, err = w.Write([]byte("ok"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return drivertest.File("shop", "shop/1.0.0/shop.tar.gz", packed.Bytes())
}

func TestArchiveIsUnpackedBehindCurrent(t *testing.T) {
	folder := t.TempDir()
	p := plan(folder, 1)
	p.Artifact = archive(t, "bin/shop", "etc/shop.conf")
	apply(t, opened(t, folder), 1, p)
	if got, err := os.ReadFile(filepath.Join(folder, "shop", "current", "bin", "shop")); err != nil || string(got) != "ok" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsRefusedLeavesTheTargetAlone(t *testing.T) {
	folder := t.TempDir()
	d := opened(t, folder)
	apply(t, d, 1, plan(folder, 1))
	hostile, swapped, image, named := plan(folder, 2), plan(folder, 2), plan(folder, 2), plan(folder, 2)
	hostile.Artifact = archive(t, "good", "../../escaped")
	swapped.Artifact.Digest = plan(folder, 3).Artifact.Digest
	image.Artifact.Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE
	named.Artifact.Name = "../shop"
	attempt := uint32(10)
	for _, test := range []struct {
		name string
		plan driver.Plan
		want error
	}{
		{"hostile archive", hostile, artifact.ErrArchive},
		{"content that is not what the digest names", swapped, artifact.ErrDigest},
		{"image", image, driver.ErrUnsupported},
		{"name with a path", named, driver.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			attempt++
			f := driver.Fence{Epoch: "e", Sequence: uint64(attempt)}
			if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-x", 0, attempt), f, test.plan); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if got := app(folder).Carries(t); got != plan(folder, 1).Artifact.Digest {
				t.Errorf("carries %q", got)
			}
			entries, err := os.ReadDir(filepath.Join(folder, "shop", "releases"))
			if err != nil || len(entries) != 2 {
				t.Errorf("left %v, %v", entries, err)
			}
		})
	}
}

func TestFailedRestartIsRepeatedAndThenTakenBack(t *testing.T) {
	folder := t.TempDir()
	apply(t, opened(t, folder), 1, plan(folder, 1))
	c := config(folder)
	c.Restart.Argv = []string{"/bin/sh", "-c", "echo api_key=abcdefgh; echo no such port >&2; exit 7"}
	failing, err := host.New(c, host.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	p := plan(folder, 2)
	p.Previous = plan(folder, 1).Artifact.Digest
	key, f := driver.ApplyKey("shop-2", 0, 1), driver.Fence{Epoch: "e", Sequence: 2}
	for range 2 {
		result, err := failing.Apply(t.Context(), key, f, p)
		if !errors.Is(err, argv.ErrExit) || result.Message != "no such port" {
			t.Errorf("message %q, %v", result.Message, err)
		}
		if bytes.Contains(result.Output, []byte("abcdefgh")) || result.Redacted != 1 {
			t.Errorf("output %q, %d redacted", result.Output, result.Redacted)
		}
	}
	if status, err := failing.Probe(t.Context(), key); status != driver.StatusStarted || err != nil {
		t.Errorf("probe: %s, %v", status, err)
	}
	if _, err := opened(t, folder).Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), f, p); err != nil {
		t.Fatal(err)
	}
	// The application never saw version 2, but it may have been stopped for it.
	if starts := app(folder).Starts(t); len(starts) != 2 || starts[1] != p.Previous {
		t.Errorf("started with %v", starts)
	}
	if n := effects(t, folder); n != 3 {
		t.Errorf("the ledger counts %d effects, want 3: there, forth, and back", n)
	}
}

func TestRestartThatHangsIsKilledAtItsTimeout(t *testing.T) {
	folder := t.TempDir()
	c := config(folder)
	c.Restart.Argv = []string{"/bin/sh", "-c", "while :; do :; done"}
	c.Restart.Timeout = durationpb.New(100 * time.Millisecond)
	d, err := host.New(c, host.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), driver.ApplyKey("r", 0, 1), driver.Fence{Epoch: "e", Sequence: 1}, plan(folder, 1)); !errors.Is(err, argv.ErrKilled) {
		t.Errorf("got %v", err)
	}
}

func TestTamperedReleaseIsNoWayBackButIsPlacedAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(release string) error
	}{
		{"another byte", func(r string) error { return os.WriteFile(filepath.Join(r, "shop"), []byte("version !\n"), 0o755) }},
		{"another mode", func(r string) error { return os.Chmod(filepath.Join(r, "shop"), 0o777) }},
		{"a file more", func(r string) error { return os.WriteFile(filepath.Join(r, "more"), nil, 0o644) }},
		{"a file less", func(r string) error { return os.Remove(filepath.Join(r, "shop")) }},
		{"all gone", os.RemoveAll},
		{"no manifest", func(r string) error { return os.Remove(r + ".json") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			d := opened(t, folder)
			first := plan(folder, 1)
			apply(t, d, 1, first)
			if err := test.tamper(place(folder, first.Artifact.Digest)); err != nil {
				t.Fatal(err)
			}
			second := plan(folder, 2)
			second.Previous = first.Artifact.Digest
			preview, err := d.Preview(t.Context(), second)
			if err != nil || preview.RollbackReady || !strings.Contains(preview.RollbackReason, first.Artifact.Digest) {
				t.Errorf("preview %+v, %v", preview, err)
			}
			apply(t, d, 2, second)
			key, f := driver.RollbackKey("shop-2", 0, 1), driver.Fence{Epoch: "e", Sequence: 2}
			if _, err := d.Rollback(t.Context(), key, f, second); !errors.Is(err, driver.ErrNoWayBack) {
				t.Errorf("rollback: %v", err)
			}
			apply(t, d, 3, first)
			if got, err := os.ReadFile(filepath.Join(folder, "shop", "current", "shop")); err != nil || string(got) != "version 1\n" {
				t.Errorf("after all: %q, %v", got, err)
			}
		})
	}
}

func TestOldReleasesGoButNeverWhatIsNeeded(t *testing.T) {
	folder := t.TempDir()
	c := config(folder)
	c.Keep = 1
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d, err := host.New(c, host.Options{Target: "shop-1", Now: func() time.Time { clock = clock.Add(time.Hour); return clock }})
	if err != nil {
		t.Fatal(err)
	}
	for version := range uint32(4) {
		apply(t, d, version+1, plan(folder, int(version+1)))
	}
	for version, want := range map[int]bool{1: false, 2: false, 3: true, 4: true} {
		if _, err := os.Stat(place(folder, plan(folder, version).Artifact.Digest)); (err == nil) != want {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func TestRollbackLeavesAnotherReleaseAlone(t *testing.T) {
	folder := t.TempDir()
	d := opened(t, folder)
	for version := range uint32(3) {
		apply(t, d, version+1, plan(folder, int(version+1)))
	}
	p := plan(folder, 2)
	p.Previous = plan(folder, 1).Artifact.Digest
	if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), driver.Fence{Epoch: "e", Sequence: 9}, p); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if got := app(folder).Carries(t); got != plan(folder, 3).Artifact.Digest {
		t.Errorf("carries %q", got)
	}
}

func TestPreviewSaysWhatWouldHappen(t *testing.T) {
	folder := t.TempDir()
	d := opened(t, folder)
	first, second := plan(folder, 1), plan(folder, 2)
	preview, err := d.Preview(t.Context(), first)
	if err != nil || preview.Summary != "nothing -> "+first.Artifact.Digest+", restart" || !strings.Contains(preview.RollbackReason, "nothing was placed before") {
		t.Errorf("%+v, %v", preview, err)
	}
	apply(t, d, 1, first)
	if preview, err = d.Preview(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if preview.Summary != first.Artifact.Digest+" -> "+second.Artifact.Digest+", restart" || !strings.Contains(preview.Detail, "--version=2.0.0") {
		t.Errorf("%+v", preview)
	}
}

func TestLedgerTellsWhoDidWhat(t *testing.T) {
	folder := t.TempDir()
	apply(t, opened(t, folder), 7, plan(folder, 1))
	entries, err := ledger.Read(opened(t, folder).Ledger())
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	e := entries[0]
	if e.Target != "shop-1" || e.Key != "shop-1/0/7" || e.Effect != "shop-1/0/apply" || e.Fence != (driver.Fence{Epoch: "e", Sequence: 7}) ||
		e.Digest != plan(folder, 1).Artifact.Digest || e.Action != ledger.Apply || entries[1].Action != ledger.Restart {
		t.Errorf("%+v", entries)
	}
	var raw map[string]any
	data, err := os.ReadFile(opened(t, folder).Ledger())
	if err == nil {
		err = json.Unmarshal(bytes.SplitN(data, []byte("\n"), 2)[0], &raw)
	}
	if err != nil || raw["fence"] == nil || raw["time"] == nil {
		t.Errorf("%v, %v", raw, err)
	}
}

func TestUnreadableFenceLetsNobodyIn(t *testing.T) {
	folder := t.TempDir()
	d := opened(t, folder)
	apply(t, d, 1, plan(folder, 1))
	if err := os.WriteFile(filepath.Join(folder, "shop", "fence"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), driver.ApplyKey("r", 0, 2), driver.Fence{Epoch: "e", Sequence: 2}, plan(folder, 2)); err == nil {
		t.Error("it was let in")
	}
	if got := app(folder).Carries(t); got != plan(folder, 1).Artifact.Digest {
		t.Errorf("carries %q", got)
	}
}

func TestBusyTargetSaysSoAtTheDeadline(t *testing.T) {
	folder := t.TempDir()
	at, release := make(chan struct{}), make(chan struct{})
	slow, err := open(folder, func(point string) {
		if point == host.PointSwitched {
			close(at)
			<-release
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := slow.Apply(t.Context(), driver.ApplyKey("r", 0, 1), driver.Fence{Epoch: "e", Sequence: 1}, plan(folder, 1))
		done <- err
	}()
	<-at
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := opened(t, folder).Apply(ctx, driver.ApplyKey("s", 0, 1), driver.Fence{Epoch: "e", Sequence: 2}, plan(folder, 2)); !errors.Is(err, driver.ErrBusy) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the slow one: %v", err)
	}
}

func TestExecutorThatSleptFindsItselfFencedOff(t *testing.T) {
	for _, point := range []string{host.PointAdmitted, host.PointStaged} {
		t.Run(point, func(t *testing.T) {
			folder := t.TempDir()
			apply(t, opened(t, folder), 1, plan(folder, 1))
			sleeps, wake := make(chan struct{}), make(chan struct{})
			zombie, err := open(folder, func(p string) {
				if p == point {
					close(sleeps)
					<-wake
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := zombie.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), driver.Fence{Epoch: "e", Sequence: 20}, plan(folder, 2))
				done <- err
			}()
			<-sleeps
			apply(t, opened(t, folder), 30, plan(folder, 3))
			close(wake)
			if err := <-done; !errors.Is(err, driver.ErrStaleFence) {
				t.Errorf("got %v", err)
			}
			if got := app(folder).Carries(t); got != plan(folder, 3).Artifact.Digest {
				t.Errorf("carries %q", got)
			}
		})
	}
}
