package postgres

import (
	"os/exec"
	"runtime"
)

// startPinned starts cmd from a thread that lives as long as the child does, and
// reports the child's end on the channel. The death signal of Linux is bound to
// the starting thread, and Go may end a thread whenever it likes otherwise.
func startPinned(cmd *exec.Cmd) (<-chan error, error) {
	started := make(chan error)
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}

// runPinned is startPinned and the wait for the end.
func runPinned(cmd *exec.Cmd) error {
	ended, err := startPinned(cmd)
	if err != nil {
		return err
	}
	return <-ended
}
