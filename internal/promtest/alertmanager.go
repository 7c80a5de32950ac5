package promtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Alertmanager is a running Alertmanager that tells nobody anything.
type Alertmanager struct {
	// URL is where it is.
	URL    string
	client *http.Client
}

// StartAlertmanager starts one that ends with the test. Of alerts that have the label cause,
// those that have the label effect and are of the same service are inhibited.
func StartAlertmanager(t testing.TB) *Alertmanager {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte(`route: {receiver: nobody}
receivers: [{name: nobody}]
inhibit_rules: [{source_matchers: [cause!=""], target_matchers: [effect!=""], equal: [service]}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	client := fresh()
	url := serve(t, client, "alertmanager", "/api/v2/status", func(address string) []string {
		return []string{"--config.file=" + config, "--storage.path=" + dir, "--web.listen-address=" + address, "--cluster.listen-address="}
	})
	return &Alertmanager{URL: url, client: client}
}

// Get reads an answer of it, and reports whether there was one.
func (a *Alertmanager) Get(t testing.TB, path string, into any) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(into) == nil
}

// Post sends it something that it has to take.
func (a *Alertmanager) Post(t testing.TB, path string, what any) {
	t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager answers %s", response.Status)
	}
}
