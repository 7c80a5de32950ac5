package kubetest

import (
	"runtime"
	"syscall"
)

// dieWithUs makes the kernel kill the process when the thread that starts it ends. The
// thread is kept until the process has ended: otherwise the runtime may retire it, and the
// process with it.
func dieWithUs() (attr *syscall.SysProcAttr, release func()) {
	runtime.LockOSThread()
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}, runtime.UnlockOSThread
}
