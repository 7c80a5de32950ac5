package argv

import (
	"runtime"
	"syscall"
)

// dieWithUs makes the kernel kill the command when the thread that starts it
// ends. The thread is kept until the command has ended: otherwise the runtime may
// retire it, and the command with it.
func dieWithUs(attr *syscall.SysProcAttr) (release func()) {
	runtime.LockOSThread()
	attr.Pdeathsig = syscall.SIGKILL
	return runtime.UnlockOSThread
}
