package promtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startTime bounds how long the server may take to start. It is long because machines that
// run tests are often short of processors.
const startTime = 60 * time.Second

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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.enable-remote-write-receiver", "--log.level=warn")
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	s := &Server{URL: "http://" + address, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}}
	for limit := time.After(startTime); !s.ready(t); {
		select {
		case <-ended:
			t.Fatalf("Prometheus ended: %s", said.String())
		case <-limit:
			t.Fatal("Prometheus does not become ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return s
}

func (s *Server) ready(t testing.TB) bool {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/-/ready", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

// program is where a program is: in .bin above the test, or on PATH.
func program(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if path := filepath.Join(dir, ".bin", name); executable(path) {
			return path
		}
		above := filepath.Dir(dir)
		if above == dir {
			break
		}
		dir = above
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("there is no %s: tools/setup.sh %s finds or installs it", name, name)
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
