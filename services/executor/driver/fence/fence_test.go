package fence_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

func at(epoch string, sequence uint64) driver.Fence {
	return driver.Fence{Epoch: epoch, Sequence: sequence}
}

func TestAdmission(t *testing.T) {
	done := fence.Record{
		Fence: at("b", 10), Key: "r/0/2", Digest: "d", Done: true, Carries: "d",
		PastKeys: []driver.Key{"r/0/1"}, PastEpochs: []string{"a"},
	}
	back := done
	back.Key = "r/0/rollback-1"
	for _, test := range []struct {
		name     string
		record   fence.Record
		key      driver.Key
		fence    driver.Fence
		digest   string
		repeated bool
		want     error
	}{
		{"first of all", fence.Record{}, "r/0/1", at("a", 1), "d", false, nil},
		{"same key, same fence", done, "r/0/2", at("b", 10), "d", true, nil},
		{"same key, newer fence", done, "r/0/2", at("b", 11), "d", true, nil},
		{"same key, older fence", done, "r/0/2", at("b", 9), "d", false, driver.ErrStaleFence},
		{"same key, other content", done, "r/0/2", at("b", 10), "e", false, driver.ErrConflict},
		{"later attempt", done, "r/0/3", at("b", 11), "d", true, nil},
		{"later attempt, other content", done, "r/0/3", at("b", 11), "e", false, nil},
		{"superseded key, newer fence", done, "r/0/1", at("b", 99), "d", false, driver.ErrStaleFence},
		{"other wave", done, "r/1/1", at("b", 10), "d", false, nil},
		{"new epoch, lower sequence", done, "s/0/1", at("c", 1), "d", false, nil},
		{"epoch that was left, higher sequence", done, "s/0/1", at("a", 99), "d", false, driver.ErrStaleFence},
		{"rollback under the same fence", done, "r/0/rollback-1", at("b", 10), "c", false, nil},
		{"apply after it under the same fence", back, "r/0/3", at("b", 10), "d", false, driver.ErrStaleFence},
		{"apply after it under a newer fence", back, "r/0/3", at("b", 11), "d", false, nil},
		{"no key", done, "", at("b", 11), "d", false, driver.ErrInvalid},
		{"no fence", done, "r/0/3", at("", 0), "d", false, driver.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := test.record
			next, repeated, err := test.record.Admit(test.key, test.fence, test.digest)
			if repeated != test.repeated || !errors.Is(err, test.want) {
				t.Errorf("repeated %t, %v; want %t, %v", repeated, err, test.repeated, test.want)
			}
			if diff := cmp.Diff(before, test.record); diff != "" {
				t.Errorf("the record that was asked has changed:\n%s", diff)
			}
			if err != nil {
				return
			}
			if next.Fence != test.fence || next.Key != test.key || next.Done != repeated || next.Holds(test.key, test.fence) != nil {
				t.Errorf("next %+v", next)
			}
			if before.Key != "" && before.Key != test.key && next.Status(before.Key) != driver.StatusSuperseded {
				t.Errorf("%s is %s", before.Key, next.Status(before.Key))
			}
		})
	}
}

func TestRecordDoesNotGrowForEver(t *testing.T) {
	var r fence.Record
	for i := range uint32(2000) {
		next, _, err := r.Admit(driver.ApplyKey("r", 0, i+1), at(string(rune('a'+i%1000)), uint64(i)+1), "d")
		if errors.Is(err, driver.ErrStaleFence) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	if len(r.PastKeys) > 256 || len(r.PastEpochs) > 64 {
		t.Errorf("%d keys, %d epochs", len(r.PastKeys), len(r.PastEpochs))
	}
}

func TestStoresLetOneInAtATime(t *testing.T) {
	for name, store := range map[string]fence.Store{
		"file": fence.File{Folder: filepath.Join(t.TempDir(), "target")}, "memory": &fence.Memory{},
	} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 5 {
						held, err := store.Lock(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						r, err := held.Load()
						r.Sequence++
						if err := errors.Join(err, held.Keep(r)); err != nil {
							t.Error(err)
						}
						held.Unlock()
						held.Unlock()
					}
				})
			}
			all.Wait()
			if r, err := store.Load(t.Context()); r.Sequence != 40 || err != nil {
				t.Errorf("%d of 40 kept, %v", r.Sequence, err)
			}
			held, err := store.Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer held.Unlock()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := store.Lock(ctx); !errors.Is(err, driver.ErrBusy) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFileKeepsTheWholeRecord(t *testing.T) {
	store := fence.File{Folder: t.TempDir()}
	want := fence.Record{
		Fence: at("e", 3), Key: "r/0/1", Digest: "d", Done: true, Pending: true, Carries: "c",
		PastKeys: []driver.Key{"q/0/1"}, PastEpochs: []string{"d"},
	}
	held, err := store.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock()
	if err := held.Keep(want); err != nil {
		t.Fatal(err)
	}
	got, err := store.Load(t.Context())
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := os.WriteFile(filepath.Join(store.Folder, fence.RecordName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(t.Context()); err == nil {
		t.Error("an empty file passed for no record")
	}
}
