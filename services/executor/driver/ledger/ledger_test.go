package ledger_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

func TestLineThatACrashCutShortSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	add := func(key driver.Key, digest, action string) {
		t.Helper()
		if err := ledger.Append(path, ledger.Entry{Key: key, Digest: digest, Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	if last, err := ledger.LastEffect(path, ""); last.Key != "" || err != nil {
		t.Errorf("of nothing: %+v, %v", last, err)
	}
	add("r/0/1", "a", ledger.Apply)
	add("s/0/1", "b", ledger.Apply)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"key":"t/0/1","acti`); err != nil {
		t.Fatal(err)
	}
	file.Close()
	add("s/0/1", "b", ledger.Restart)
	add("s/0/rollback-1", "a", ledger.Rollback)
	entries, err := ledger.Read(path)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if e := entries[3]; e.Effect != "s/0/rollback" || !e.IsEffect() || entries[2].IsEffect() {
		t.Errorf("%+v", entries)
	}
	if last, err := ledger.LastEffect(path, ""); last.Digest != "a" || err != nil {
		t.Errorf("%+v, %v", last, err)
	}
	if last, err := ledger.LastEffect(path, "a"); last.Key != "s/0/1" || err != nil {
		t.Errorf("%+v, %v", last, err)
	}
}
