// Command shipwarden sends requests for releases, shows what becomes of them, and
// takes people's decisions. `shipwarden help` lists what it can do; docs/cli.md is
// the reference.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/blackdice/shipwarden/cli/command"
	"github.com/blackdice/shipwarden/services/executor"
)

func main() {
	executor.Obey() // `shipwarden dev` is an executor, too.
	os.Exit(run())
}

// run is main with its deferred calls done before the process ends.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return command.Main(ctx, os.Args[1:], command.ThisProcess())
}
