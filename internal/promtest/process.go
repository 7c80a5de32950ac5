package promtest

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/loopback/loopbacktest"
	"github.com/blackdice/shipwarden/internal/proctest"
)

const (
	// startTime bounds how long a program may take to start. It is long because machines that
	// run tests are often short of processors.
	startTime = 60 * time.Second
	// answerTime bounds an answer, for the same reason.
	answerTime = 30 * time.Second
)

// serve runs a program that listens at an address until the test ends, and returns what it is
// reached at when the path answers that all is well.
func serve(t testing.TB, client *http.Client, name, path string, arguments func(address string) []string) string {
	t.Helper()
	address := loopbacktest.Address(t)
	var output bytes.Buffer
	ended := proctest.Start(t, &output, program(t, name), arguments(address)...)
	url := "http://" + address
	for limit := time.After(startTime); !well(t, client, url+path); {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", name, output.String())
		case <-limit:
			t.Fatalf("%s does not become ready", name)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return url
}

func well(t testing.TB, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

// fresh is a client of its own that keeps no connections.
func fresh() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerTime}
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
