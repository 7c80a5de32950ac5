// Shopctl starts and stops the shop on a machine that has no service manager: it
// stands where `systemctl restart shop` would stand in production. The host driver
// runs it, with an argument vector and without a shell, when the current version has
// been switched.
//
//	shopctl restart -folder /srv/shop -listen 127.0.0.1:8080 -digest sha256:…
//	shopctl stop -folder /srv/shop
//
// restart ends well when the new process answers under the address and says that it
// is that digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long the old process has to end, and the new one to answer.
const (
	stopTime  = 5 * time.Second
	startTime = 10 * time.Second
	look      = 20 * time.Millisecond
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shopctl:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("say restart or stop")
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	folder := flags.String("folder", "", "folder of the application")
	listen := flags.String("listen", "", "address that the application listens on")
	digest := flags.String("digest", "", "digest of the current release")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if *folder == "" {
		return errors.New("-folder is required")
	}
	switch arguments[0] {
	case "restart":
		if err := stop(*folder); err != nil {
			return err
		}
		return start(*folder, *listen, *digest)
	case "stop":
		return stop(*folder)
	}
	return fmt.Errorf("%q is neither restart nor stop", arguments[0])
}

func pidFile(folder string) string { return filepath.Join(folder, "shop.pid") }

// stop ends the process that start left, politely at first.
func stop(folder string) error {
	raw, err := os.ReadFile(pidFile(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s holds no process number", pidFile(folder))
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); errors.Is(err, syscall.ESRCH) {
			return os.Remove(pidFile(folder))
		} else if err != nil {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
		if wait(stopTime, func() bool { return gone(pid) }) {
			return os.Remove(pidFile(folder))
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

// gone says whether a process has ended, waited for by its parent or not.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

// start leaves the current release running in a session of its own and waits until
// it answers.
func start(folder, listen, digest string) error {
	log, err := os.OpenFile(filepath.Join(folder, "shop.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// No context: the shop goes on when this program ends.
	cmd := exec.Command(filepath.Join(folder, "current", "shop"), "-listen", listen, "-digest", digest) //nolint:gosec,noctx // It starts what was placed here, and leaves it running.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile(folder), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	if !wait(startTime, func() bool { return dead(ended) || answers(listen, digest) }) || dead(ended) {
		return fmt.Errorf("it does not answer on %s as %s", listen, digest)
	}
	fmt.Printf("shop %s answers on %s\n", digest, listen)
	return nil
}

func dead(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

func answers(listen, digest string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/digest", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	return err == nil && strings.Contains(string(body), digest)
}

// wait looks until something is so, or the time is over.
func wait(limit time.Duration, so func() bool) bool {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for end := time.Now().Add(limit); ; <-ticker.C {
		if so() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
