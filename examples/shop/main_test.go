package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPages(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := start
	h := handler("sha256:abc", unhealthyFrom(start, time.Minute), func() time.Time { return clock })
	for _, test := range []struct {
		path   string
		later  time.Duration
		status int
		body   string
	}{
		{"/", 0, http.StatusOK, "shop 0.0.0-dev\n"},
		{"/digest", 0, http.StatusOK, `{"digest":"sha256:abc"}` + "\n"},
		{"/healthz", time.Minute - 1, http.StatusOK, "ok\n"},
		{"/healthz", time.Minute, http.StatusInternalServerError, "unhealthy\n"},
		{"/", time.Hour, http.StatusOK, "shop 0.0.0-dev\n"},
		{"/none", 0, http.StatusNotFound, "404 page not found\n"},
	} {
		clock = start.Add(test.later)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
		if w.Code != test.status || w.Body.String() != test.body {
			t.Errorf("%s after %s: %d %q", test.path, test.later, w.Code, w.Body)
		}
	}
	if !unhealthyFrom(start, 0).IsZero() {
		t.Error("0 is not never")
	}
}

// The program as it is built and run: its version from the linker, its port free
// for the next one after SIGTERM.
func TestBuiltProgramServesAndGivesUpItsPort(t *testing.T) {
	program := filepath.Join(t.TempDir(), "shop")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "-ldflags", "-X main.version=2.0.0 -X main.unhealthyAfter=1ns", ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	address := "127.0.0.1:0"
	for range 3 {
		cmd := exec.CommandContext(t.Context(), program, "-listen", address, "-digest", "sha256:def")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		_, url, _ := strings.Cut(strings.TrimSpace(line), " on ")
		for path, want := range map[string]string{"/": "shop 2.0.0\n", "/healthz": "unhealthy\n", "/digest": `{"digest":"sha256:def"}` + "\n"} {
			if got := get(t, url+path); got != want {
				t.Errorf("%s: %q", path, got)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		// The next one takes the very same port.
		address = strings.TrimPrefix(url, "http://")
	}
}

func TestPortIsFreeWhileARequestIsUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-listen", "127.0.0.1:0"}, writer) }()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(line), "http://")
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	cancel()
	deadline := time.Now().Add(10 * time.Second)
	for {
		next, err := net.Listen("tcp", address)
		if err == nil {
			next.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the port is still taken: %v", err)
		}
	}
	slow.Close()
	<-done
}

func TestMistakesEndIt(t *testing.T) {
	for _, arguments := range [][]string{{"-listen", "nowhere:x"}, {"-none"}, {"-unhealthy-after", "soon"}} {
		if err := run(t.Context(), arguments, io.Discard); err == nil {
			t.Errorf("%v: it ran", arguments)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
