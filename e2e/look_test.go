package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fetch asks for a page.
func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// effects counts what was ever done to a target, by the target's own ledger. A
// restart that is repeated is no effect of its own.
func effects(t *testing.T, folder string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, "ledger.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range bytes.Split(bytes.TrimSpace(raw), []byte("\n")) {
		var entry struct {
			Action string `json:"action"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("ledger of %s: %v", folder, err)
		}
		if entry.Action == "apply" || entry.Action == "rollback" {
			n++
		}
	}
	return n
}

// untouched demands that nothing was ever done to a target.
func (y *yard) untouched(target string) {
	y.Helper()
	if _, err := os.Stat(filepath.Join(y.world.Folder(target), "ledger.jsonl")); !errors.Is(err, fs.ErrNotExist) {
		y.Errorf("target %s was touched: %v", target, err)
	}
}

// eventually looks until something is so.
func (y *yard) eventually(what string, so func() bool) {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			y.Fatalf("it did not come to pass that %s", what)
		case <-ticker.C:
		}
	}
}

// token is a person's token.
func (y *yard) token(person string) string {
	y.Helper()
	raw, err := os.ReadFile(y.TokenFile(person))
	if err != nil {
		y.Fatal(err)
	}
	return string(raw)
}
