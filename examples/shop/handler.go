package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// handler answers for a service that was started from the digest and is unhealthy
// from a time on; zero: never.
func handler(digest string, unhealthy time.Time, now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "shop %s\n", version)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !unhealthy.IsZero() && !now().Before(unhealthy) {
			http.Error(w, "unhealthy", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /digest", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"digest": digest})
	})
	return mux
}
