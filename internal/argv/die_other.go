//go:build !linux

package argv

import "syscall"

func dieWithUs(*syscall.SysProcAttr) (release func()) { return func() {} }
