//go:build !linux

package kubetest

import "syscall"

func dieWithUs() (attr *syscall.SysProcAttr, release func()) { return nil, func() {} }
