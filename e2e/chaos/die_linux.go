package chaos

import "syscall"

// attributes make a process one of its own group that does not outlive this one. The
// goroutine that starts it is bound to its thread, which the kernel watches.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
