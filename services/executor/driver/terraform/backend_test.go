//go:build terraform

package terraform_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// store is a state elsewhere, with a lock, as the http backend knows them.
type store struct {
	mu     sync.Mutex
	state  []byte
	lock   []byte
	forced int
	full   bool
	// silent says that it does not tell the state.
	silent bool
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch r.Method {
	case "LOCK":
		if s.lock != nil {
			w.WriteHeader(http.StatusLocked)
			_, _ = w.Write(s.lock)
			return
		}
		s.lock = body
	case "UNLOCK":
		if len(body) == 0 {
			s.forced++ // Without saying which lock: by force.
		}
		s.lock = nil
	case http.MethodPost:
		if s.full {
			w.WriteHeader(http.StatusInsufficientStorage)
			return
		}
		s.state = body
	case http.MethodGet:
		if s.silent {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if s.state == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(s.state)
	}
}

func (s *store) serial(t *testing.T) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var at struct{ Serial int }
	if err := json.Unmarshal(s.state, &at); err != nil {
		t.Fatal(err)
	}
	return at.Serial
}

// TestAStateInABackendIsPlannedAndAppliedUnderItsLock: the fence does not lie beside it, and the
// class says so.
func TestAStateInABackendIsPlannedAndAppliedUnderItsLock(t *testing.T) {
	s := &store{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	c := config(folder)
	c.Backend = &configv1.TerraformBackend{Type: "http", Settings: map[string]string{
		"address": server.URL, "lock_address": server.URL, "unlock_address": server.URL,
	}}
	d := open(t, c, options(nil))
	if got := d.Class(); got != releasev1.DriverClass_DRIVER_CLASS_PROBEABLE {
		t.Errorf("class %s", got)
	}
	first, second := plan(1, two("a", false)), plan(2, two("b", true))
	second.Previous = first.Artifact.Digest
	must(t, d, 1, first)
	if _, err := os.Stat(statePath(folder)); err == nil {
		t.Error("there is a state in the folder")
	}
	before := s.serial(t)
	s.mu.Lock()
	s.lock = []byte(`{"ID":"somebody","Who":"else"}`)
	s.mu.Unlock()
	if _, err := release(t, d, 2, second); !errors.Is(err, driver.ErrBusy) {
		t.Errorf("while somebody has the lock: %v", err)
	}
	s.mu.Lock()
	if s.lock == nil || s.forced > 0 {
		t.Error("the lock was broken")
	}
	s.lock = nil
	s.mu.Unlock()
	if got := s.serial(t); got != before {
		t.Errorf("serial %d became %d", before, got)
	}
	second.Approved = diff(t, d, second).Digest()
	must(t, d, 2, second)
	if result, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), at(20), second); err != nil {
		t.Fatalf("%v\n%s", err, result.Output)
	}
	if s.mu.Lock(); strings.Contains(string(s.state), `"name": "two"`) || s.lock != nil {
		t.Errorf("after the way back: lock %q, state\n%s", s.lock, s.state)
	}
	s.mu.Unlock()
}

// TestAStateThatCouldNotBeWrittenIsKeptAndStopsEverything: what Terraform did is in it and nowhere
// else, and the next plan would do it again.
func TestAStateThatCouldNotBeWrittenIsKeptAndStopsEverything(t *testing.T) {
	s := &store{full: true}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	c := config(folder)
	c.Backend = &configv1.TerraformBackend{Type: "http", Settings: map[string]string{
		"address": server.URL, "lock_address": server.URL, "unlock_address": server.URL, "retry_max": "0",
	}}
	d := open(t, c, options(nil))
	p := plan(1, two("a", false))
	_, err := release(t, d, 1, p)
	if err == nil {
		t.Error("it was applied")
	}
	kept, unread := os.ReadFile(filepath.Join(folder, "shop", "errored.tfstate"))
	if unread != nil || !strings.Contains(string(kept), `"terraform_data"`) {
		t.Errorf("after %v there is %q, %v", err, kept, unread)
	}
	s.mu.Lock()
	s.full = false
	s.mu.Unlock()
	const want = "the state could not be written where it belongs"
	for what, err := range map[string]error{"the first": err, "a repetition": failure(release(t, d, 1, p)), "the next": failure(release(t, d, 2, plan(2, two("b", false))))} {
		if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := diff(t, d, p); !strings.Contains(got.Failed, want) {
		t.Errorf("diff: %+v", got)
	}
	// People push it.
	s.mu.Lock()
	s.state = kept
	s.mu.Unlock()
	if err := os.Remove(filepath.Join(folder, "shop", "errored.tfstate")); err != nil {
		t.Fatal(err)
	}
	must(t, d, 3, plan(3, two("c", false)))
}

func failure(_ driver.Result, err error) error { return err }
