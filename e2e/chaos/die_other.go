//go:build !linux

package chaos

import "syscall"

// attributes make a process one of its own group.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
