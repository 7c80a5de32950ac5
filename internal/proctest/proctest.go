// Package proctest runs programs beside tests, such as the servers that they speak to.
package proctest

import (
	"context"
	"io"
	"os/exec"
	"testing"
)

// Start runs a program that is killed when the test ends; what it says goes to output. The channel
// is closed once it has ended, by itself as well, and output is written to no more.
func Start(t testing.TB, output io.Writer, program string, arguments ...string) (ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	end := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(end)
	}()
	t.Cleanup(func() {
		cancel()
		<-end
	})
	return end
}
