// Command shipwarden-recorder is the recorder service as a process of its own.
//
//	shipwarden-recorder -config recorder.yaml
//	shipwarden-recorder rebuild -config recorder.yaml [-replace]
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "rebuild" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		status := recorder.Rebuild(ctx, os.Args[2:], os.Stdout, os.Stderr)
		stop()
		os.Exit(status)
	}
	os.Exit(service.Main("shipwarden-recorder", recorder.Load, recorder.Check, func(ctx context.Context, cfg *configv1.Recorder) error {
		return recorder.Run(ctx, cfg, recorder.Deps{})
	}, "rebuild -config recorder.yaml [-replace]", "record the whole stream once more, and compare both records"))
}
