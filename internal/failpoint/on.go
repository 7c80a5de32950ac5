//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Enabled says whether this build can be struck.
const Enabled = true

var folder = os.Getenv(Variable)

// Hit marks a place at which an error can be handled.
func Hit(point string) error {
	if folder == "" {
		return nil
	}
	passed, err := count(point)
	if err != nil {
		return fmt.Errorf("count %s: %w", point, err)
	}
	action, taken := take(point, passed)
	switch action {
	case Kill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	case Stop:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case Bus:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		for exists(taken) {
			time.Sleep(time.Millisecond)
		}
	case Error:
		return fmt.Errorf("%s: %w", point, ErrOrdered)
	}
	return nil
}

// At marks a place at which none can.
func At(point string) { _ = Hit(point) }

// Folder is the folder for what only fault tests keep, below the one of the points.
func Folder(name string) string {
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, name)
}

// count counts the passage and returns how many there were, of all processes.
func count(point string) (int64, error) {
	file, err := os.OpenFile(filepath.Join(folder, point+".hits"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Write([]byte{'.'}); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// take returns what is ordered for this passage, and the file that says who has taken
// the order. Who renames the order has it.
func take(point string, passed int64) (action, taken string) {
	order := filepath.Join(folder, point+".order")
	text, err := os.ReadFile(order)
	if err != nil {
		return "", ""
	}
	action, from, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if n, err := strconv.ParseInt(from, 10, 64); err != nil || passed < n {
		return "", ""
	}
	taken = filepath.Join(folder, point+"."+strconv.Itoa(os.Getpid()))
	if os.Rename(order, taken) != nil {
		return "", ""
	}
	return action, taken
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
