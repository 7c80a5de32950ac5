package terraform

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// sweeps bounds how often the list of processes is read: one that starts others while it is
// killed is found the next time.
const sweeps = 8

// sweep kills every process that has an entry in its environment. What Terraform starts has
// what Terraform has, in whichever group or session it is.
func sweep(entry string) {
	for range sweeps {
		found := false
		for _, pid := range marked(entry) {
			found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
		}
		if !found {
			return
		}
	}
}

func marked(entry string) []int {
	folders, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range folders {
		pid, err := strconv.Atoi(f.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile("/proc/" + f.Name() + "/environ")
		if err != nil {
			continue // Somebody else's, or gone.
		}
		for one := range bytes.SplitSeq(environ, []byte{0}) {
			if string(one) == entry {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}
