package promtest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Server is a running Prometheus.
type Server struct {
	// URL is where it is.
	URL    string
	client *http.Client
}

// Start starts a server that ends with the test and evaluates these rules, each a file of
// rules, every second.
func Start(t testing.TB, rules ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	files := map[string]string{config: "global: {scrape_interval: 1h, evaluation_interval: 1s}\nrule_files: [rules-*.yml]\n"}
	for i, text := range rules {
		files[filepath.Join(dir, fmt.Sprintf("rules-%d.yml", i))] = text
	}
	for file, text := range files {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := fresh()
	url := serve(t, client, "prometheus", "/-/ready", func(address string) []string {
		return []string{
			"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + address, "--web.enable-remote-write-receiver", "--log.level=warn",
		}
	})
	return &Server{URL: url, client: client}
}
