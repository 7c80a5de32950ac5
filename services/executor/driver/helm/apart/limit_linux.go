package apart

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// nice is how much less than others the process is given of a processor that is wanted by all.
const nice = 10

// limit has the system refuse what is more than the limits, and end the process where it has been on the
// processor for too long.
func limit(l Limits) error {
	// Where memory is short, this process is the one to go. Some systems do not let anybody say so.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, nice)
	has, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	first, _, _ := bytes.Cut(has, []byte(" "))
	pages, err := strconv.ParseUint(string(first), 10, 64)
	if err != nil {
		return err
	}
	seconds, page := uint64(l.Processor/time.Second), uint64(os.Getpagesize()) //nolint:gosec // Both are above 0.
	for of, most := range map[int]syscall.Rlimit{
		// The runtime has spoken for addresses that it never uses; what is added counts.
		syscall.RLIMIT_AS:    same(pages*page + uint64(l.Memory)), //nolint:gosec // It is above 0.
		syscall.RLIMIT_CPU:   {Cur: seconds, Max: seconds + 1},    // First a word, then the end.
		syscall.RLIMIT_FSIZE: same(0),
		syscall.RLIMIT_CORE:  same(0), // Values are in its memory.
	} {
		if err := syscall.Setrlimit(of, &most); err != nil {
			return fmt.Errorf("limit %d: %w", of, err)
		}
	}
	return nil
}

func same(n uint64) syscall.Rlimit { return syscall.Rlimit{Cur: n, Max: n} }
