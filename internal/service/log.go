package service

import (
	"io"
	"log/slog"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// NewLogger returns a logger that writes JSON lines, or text for a terminal, and
// puts the service's name on every line. A nil configuration means JSON from the
// level INFO on.
func NewLogger(w io.Writer, name string, cfg *configv1.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(cfg.GetLevel())}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if cfg.GetText() {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(handler).With(slog.String("service", name))
}

// level translates the configured level; unspecified means INFO.
func level(l configv1.Log_Level) slog.Level {
	switch l {
	case configv1.Log_LEVEL_DEBUG:
		return slog.LevelDebug
	case configv1.Log_LEVEL_WARN:
		return slog.LevelWarn
	case configv1.Log_LEVEL_ERROR:
		return slog.LevelError
	case configv1.Log_LEVEL_INFO, configv1.Log_LEVEL_UNSPECIFIED:
		return slog.LevelInfo
	default:
		return slog.LevelInfo
	}
}
