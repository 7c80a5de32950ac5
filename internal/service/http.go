package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The limits of the HTTP server: it answers machines, briefly.
const (
	httpHeaderTimeout = 5 * time.Second
	httpTimeout       = 30 * time.Second
	httpHeaderBytes   = 16 << 10
)

// HTTPServer serves /metrics, /healthz and /readyz, and nothing else: no
// profiles, no state, nothing that anybody could change.
type HTTPServer struct {
	listener net.Listener
	server   *http.Server
}

// NewHTTPServer listens on the address at once, so that a taken port is an error
// at the start; Run answers. Port 0 means a free one.
func NewHTTPServer(ctx context.Context, listen string, registry *prometheus.Registry, health *Health) (*HTTPServer, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen for health and metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry: registry, EnableOpenMetrics: true, Timeout: httpTimeout,
	}))
	mux.HandleFunc("GET /healthz", answerHealthy)
	mux.HandleFunc("GET /readyz", answerReady(health))
	return &HTTPServer{listener: listener, server: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: httpHeaderTimeout,
		ReadTimeout:       httpTimeout,
		WriteTimeout:      httpTimeout,
		IdleTimeout:       2 * httpTimeout,
		MaxHeaderBytes:    httpHeaderBytes,
	}}, nil
}

// Addr is the address in use.
func (s *HTTPServer) Addr() string { return s.listener.Addr().String() }

// Run answers until ctx ends, then finishes the requests under way.
func (s *HTTPServer) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve health and metrics: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpHeaderTimeout)
	defer cancel()
	err := s.server.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// answerHealthy says that the process lives and answers. It asks nothing else:
// a restart would not bring back a bus or a database.
func answerHealthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, "ok")
}

// answerReady lists the checks, one per line, and answers 503 when one fails.
func answerReady(health *Health) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		results := health.Check(r.Context())
		status := http.StatusOK
		for _, result := range results {
			if result.Err != nil {
				status = http.StatusServiceUnavailable
			}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		for _, result := range results {
			if result.Err != nil {
				_, _ = fmt.Fprintf(w, "[-] %s: %v\n", result.Name, result.Err)
			} else {
				_, _ = fmt.Fprintf(w, "[+] %s\n", result.Name)
			}
		}
	}
}
