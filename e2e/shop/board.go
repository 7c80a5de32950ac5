package shop

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Board is the channel "operations": a receiver of webhooks on this machine.
type Board struct {
	server *http.Server
	url    string
	told   func(subject string)
}

// OpenBoard listens until Close. What is told is given the subject of every notice;
// it may be called by several goroutines.
func OpenBoard(told func(subject string)) (*Board, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	b := &Board{url: "http://" + l.Addr().String() + "/hooks/operations", told: told}
	b.server = &http.Server{Handler: http.HandlerFunc(b.receive), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = b.server.Serve(l) }()
	return b, nil
}

func (b *Board) receive(w http.ResponseWriter, r *http.Request) {
	var notice struct {
		Subject string `json:"subject"`
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(raw, &notice) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.told(notice.Subject)
}

// Close ends it.
func (b *Board) Close(ctx context.Context) { _ = b.server.Shutdown(ctx) }

// Listen gives a rig's configuration the channel that leads to the board. Its
// address counts as a secret, and so it is in a file.
func (w *World) Listen(cfg *rig.Config, b *Board) error {
	file := filepath.Join(w.dir, "systems", "operations.url")
	if err := os.WriteFile(file, []byte(b.url), 0o600); err != nil {
		return err
	}
	cfg.Channels = append(cfg.Channels, &configv1.ChannelAddress{
		Channel: "operations", Kind: configv1.ChannelAddress_KIND_WEBHOOK, UrlFile: file,
	})
	return nil
}
