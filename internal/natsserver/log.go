package natsserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// fatalLog remembers the first fatal message. nats-server ends the process at
// such a message when it logs by itself; here the owner of the server decides.
type fatalLog struct {
	done chan struct{}
	once sync.Once
	text string // written once, before done is closed
}

func newFatalLog() *fatalLog { return &fatalLog{done: make(chan struct{})} }

func (f *fatalLog) set(text string) {
	f.once.Do(func() {
		f.text = text
		close(f.done)
	})
}

// message must be called only after done is closed.
func (f *fatalLog) message() string { return f.text }

// logAdapter carries nats-server's printf messages to slog. A nil log drops
// them; fatal ones are kept in any case.
type logAdapter struct {
	//nolint:containedctx // nats-server's logger interface passes no context.
	ctx   context.Context
	log   *slog.Logger
	fatal *fatalLog
}

func (a *logAdapter) write(level slog.Level, format string, args []any) {
	if a.log == nil || !a.log.Enabled(a.ctx, level) {
		return
	}
	a.log.LogAttrs(a.ctx, level, "nats server", slog.String("text", fmt.Sprintf(format, args...)))
}

// Noticef implements the logger of nats-server.
func (a *logAdapter) Noticef(format string, args ...any) { a.write(slog.LevelInfo, format, args) }

// Warnf implements the logger of nats-server.
func (a *logAdapter) Warnf(format string, args ...any) { a.write(slog.LevelWarn, format, args) }

// Errorf implements the logger of nats-server.
func (a *logAdapter) Errorf(format string, args ...any) { a.write(slog.LevelError, format, args) }

// Debugf implements the logger of nats-server.
func (a *logAdapter) Debugf(format string, args ...any) { a.write(slog.LevelDebug, format, args) }

// Tracef drops protocol traces: they would carry message bodies into the log.
func (a *logAdapter) Tracef(string, ...any) {}

// Fatalf implements the logger of nats-server.
func (a *logAdapter) Fatalf(format string, args ...any) {
	a.write(slog.LevelError, format, args)
	a.fatal.set(fmt.Sprintf(format, args...))
}
