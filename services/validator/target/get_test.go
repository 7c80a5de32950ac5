package target_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/dnstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

// patience is how long the looks of these tests may take: long where an answer comes,
// short where none does.
const (
	patience   = 10 * time.Second
	impatience = 100 * time.Millisecond
)

func TestGet(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a server that is no target was asked")
	}))
	defer elsewhere.Close()
	_, otherPort, _ := net.SplitHostPort(elsewhere.Listener.Addr().String())
	bomb := gzipped(t, 8<<20)

	tests := []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
		want    error  // nil: answered
		detail  string // part of the error, or of the body
	}{
		{"a page", answer("fine"), patience, nil, "fine"},
		{"a body of exactly the bound", answer(strings.Repeat("x", target.MaxBody)), patience, nil, "xxx"},
		{"a body above the bound", answer(strings.Repeat("x", target.MaxBody+1)), patience, target.ErrNotSeen, "larger than"},
		{"a body without an end", endless, patience, target.ErrNotSeen, "larger than"},
		{"a gzip bomb", encoded(bomb), patience, target.ErrNotSeen, "encoded"},
		{"a header without an end", hugeHeader, patience, target.ErrNotSeen, "header"},
		{"no answer in time", silent, impatience, target.ErrNoAnswer, "deadline exceeded"},
		{"one byte and then nothing", trickle, impatience, target.ErrNoAnswer, "deadline exceeded"},
		{"a body cut short", cut, patience, target.ErrNoAnswer, "cut after 4 bytes"},
		{"a connection closed without an answer", hangUp(""), patience, target.ErrNoAnswer, "closed"},
		{"rubbish instead of HTTP", hangUp("SSH-2.0-OpenSSH\r\n\r\n"), patience, target.ErrNoAnswer, "not HTTP"},
		{"three redirects", redirects(3, "/%d"), patience, nil, "arrived"},
		{"four redirects", redirects(4, "/%d"), patience, target.ErrNotSeen, "more than 3"},
		{"fifty redirects", redirects(50, "/%d"), patience, target.ErrNotSeen, "more than 3"},
		{"a redirect to another port", redirect("http://127.0.0.1:" + otherPort + "/"), patience, target.ErrNotSeen, "another host or port"},
		{"a redirect to another host", redirect("http://shop.example/"), patience, target.ErrNotSeen, "another host or port"},
		{"a redirect to another name of the host", redirect("http://localhost:" + otherPort + "/"), patience, target.ErrNotSeen, "another host or port"},
		{"a redirect to another host without a scheme", redirect("//shop.example/"), patience, target.ErrNotSeen, "another host or port"},
		{"a redirect to the metadata service", redirect("http://169.254.169.254/latest/"), patience, target.ErrNotSeen, "another host or port"},
		{"a redirect to a file", redirect("file:///etc/passwd"), patience, target.ErrNotSeen, "scheme"},
		{"a redirect to gopher", redirect("gopher://127.0.0.1/"), patience, target.ErrNotSeen, "scheme"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
			defer cancel()
			got, err := at(t, server).Get(ctx, "/", true)
			switch {
			case tt.want == nil && (err != nil || !strings.Contains(string(got.Body), tt.detail)):
				t.Errorf("Get = %d %.20q, %v, want a body with %q", got.Status, got.Body, err, tt.detail)
			case tt.want != nil && (!errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.detail)):
				t.Errorf("Get = %v, want %v: %s", err, tt.want, tt.detail)
			}
			if errors.Is(err, target.ErrNoAnswer) && errors.Is(err, target.ErrNotSeen) {
				t.Errorf("both at once: %v", err)
			}
		})
	}
}

func TestARedirectIsTheAnswerWhereItIsExpected(t *testing.T) {
	server := httptest.NewServer(redirect("http://shop.example/"))
	defer server.Close()
	got, err := at(t, server).Get(deadline(t), "/", false)
	if err != nil || got.Status != http.StatusFound {
		t.Errorf("Get = %d, %v, want %d", got.Status, err, http.StatusFound)
	}
}

func TestWhoseFaultItIs(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := httptest.NewServer(answer("fine"))
	defer plain.Close()
	secure := httptest.NewTLSServer(answer("fine"))
	defer secure.Close()
	names := dnstest.Resolver(t, map[string][]string{"meta.test": {"169.254.169.254"}, "inside.test": {"127.0.0.1"}})

	tests := []struct {
		name, base string
		want       error
		detail     string
	}{
		{"nobody listens", closed.URL, target.ErrNoAnswer, "connection refused"},
		{"no TLS where TLS is expected", strings.Replace(plain.URL, "http:", "https:", 1), target.ErrNoAnswer, "no TLS"},
		{"a certificate that nobody knows", secure.URL, target.ErrNoAnswer, "certificate"},
		{"a name that does not exist", "http://nowhere.test", target.ErrNotSeen, dial.ErrUnresolved.Error()},
		{"a name server that is silent", "http://silent.test", target.ErrNotSeen, dial.ErrUnresolved.Error()},
		{"a name of the metadata service", "http://meta.test", target.ErrNotSeen, dial.ErrForbidden.Error()},
		{"a name that leads inside", strings.Replace(plain.URL, "127.0.0.1", "inside.test", 1), target.ErrNotSeen, dial.ErrForbidden.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			looked, err := target.New(&configv1.TargetAddress{Target: "eu1", BaseUrl: tt.base}, names)
			if err != nil {
				t.Fatal(err)
			}
			patience := time.Minute
			if tt.name == "a name server that is silent" {
				patience = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := looked.Get(ctx, "/", true); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("Get = %v, want %v: %s", err, tt.want, tt.detail)
			}
		})
	}
}

func TestACanceledLookSaysNothingAboutTheTarget(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(silent))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := at(t, server).Get(ctx, "/", true); !errors.Is(err, target.ErrNotSeen) || !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want %v and %v", err, target.ErrNotSeen, context.Canceled)
	}
}

// TestMain names a proxy at which nobody listens, before anything can have read the
// environment.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestTheEnvironmentSetsNoProxy goes by a name, because loopback addresses never are
// asked for by way of a proxy.
func TestTheEnvironmentSetsNoProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, header := range []string{"Cookie", "Authorization", "Accept-Encoding"} {
			if r.Header.Get(header) != "" {
				t.Errorf("%s was sent", header)
			}
		}
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	names := dnstest.Resolver(t, map[string][]string{"shop.localhost": {"127.0.0.1"}})
	looked, err := target.New(&configv1.TargetAddress{Target: "eu1", BaseUrl: "http://shop.localhost:" + port}, names)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := looked.Get(deadline(t), "/", true); err != nil {
		t.Errorf("Get: %v", err)
	}
}

// at returns a target at a test server.
func at(t testing.TB, server *httptest.Server) *target.Target {
	t.Helper()
	return newTarget(t, &configv1.TargetAddress{Target: "eu1", BaseUrl: server.URL, DigestPath: "/digest"})
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

func encoded(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(body)
	}
}

func gzipped(t *testing.T, size int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func endless(w http.ResponseWriter, r *http.Request) {
	block := bytes.Repeat([]byte("x"), 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Huge", strings.Repeat("x", 1<<20))
}

func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func trickle(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "x")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	io.WriteString(w, "four")
}

// hangUp answers with some bytes, which need not be HTTP, and closes the connection.
func hangUp(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, text)
		conn.Close()
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

// redirects sends on so many times before it answers.
func redirects(count int, form string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var at int
		fmt.Sscanf(r.URL.Path, form, &at)
		if at == count {
			io.WriteString(w, "arrived")
			return
		}
		http.Redirect(w, r, (&url.URL{Path: fmt.Sprintf(form, at+1)}).String(), http.StatusFound)
	}
}
