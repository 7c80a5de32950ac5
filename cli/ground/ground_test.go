package ground_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/blackdice/shipwarden/cli/ground"
)

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, path string, want bool) {
	t.Helper()
	if _, err := os.Stat(path); (err == nil) != want {
		t.Errorf("%s is there: %v, want %v", path, err == nil, want)
	}
}

func TestADemoRemovesWhatADemoHasMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	release, err := ground.Empty(dir)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "state", "bus", "old"))
	release()
	release, err = ground.Empty(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	is(t, filepath.Join(dir, "state"), false)
}

// TestNothingIsRemovedThatNoDemoHasMade: --dir takes any folder, also one with work in it.
func TestNothingIsRemovedThatNoDemoHasMade(t *testing.T) {
	dir := t.TempDir()
	work := filepath.Join(dir, "thesis.txt")
	put(t, work)
	if _, err := ground.Empty(dir); !errors.Is(err, ground.ErrForeign) {
		t.Errorf("error %v", err)
	}
	is(t, work, true)
	is(t, filepath.Join(dir, "lock"), false)
}

// TestNothingIsRemovedUnderARunningDev: it would write on into files that are gone.
func TestNothingIsRemovedUnderARunningDev(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	first, err := ground.Empty(dir)
	if err != nil {
		t.Fatal(err)
	}
	first()
	end, err := ground.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	stream := filepath.Join(dir, "state", "bus", "stream")
	put(t, stream)
	for range 2 {
		if _, err := ground.Empty(dir); !errors.Is(err, ground.ErrInUse) {
			t.Errorf("error %v", err)
		}
		is(t, stream, true)
	}
	end()
	again, err := ground.Empty(dir)
	if err != nil {
		t.Fatalf("after dev has ended: %v", err)
	}
	again()
}

func TestAFolderOfAnEndedRunIsEmptyEnough(t *testing.T) {
	dir := t.TempDir()
	release, err := ground.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	release()
	release, err = ground.Empty(dir)
	if err != nil {
		t.Fatal(err)
	}
	release()
}
