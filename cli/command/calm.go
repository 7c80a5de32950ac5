package command

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// kept is a log that is shown later, if at all.
type kept struct {
	mu   sync.Mutex
	text bytes.Buffer // owned by mu
}

// Write implements io.Writer.
func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

// String is what was logged.
func (k *kept) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// calm is a log for the terminal of dev. That a call was refused is told to whoever
// made it; here it would be a line of 500 characters between two notices.
type calm struct{ slog.Handler }

// Handle implements slog.Handler.
func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "finished call" && r.Level < slog.LevelError {
		return nil
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler { return calm{c.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (c calm) WithGroup(name string) slog.Handler { return calm{c.Handler.WithGroup(name)} }
