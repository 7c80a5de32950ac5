package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// prepare makes the directories, the password and, the first time, the cluster.
// It returns the installation to run it with.
func prepare(ctx context.Context, cfg Config, who owner) (Binaries, error) {
	installed, err := Find(ctx, cfg.Bin)
	if err != nil {
		return Binaries{}, err
	}
	if _, err := os.Stat(filepath.Join(cfg.dataDir(), "PG_VERSION")); err == nil {
		return matching(cfg, installed)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Binaries{}, fmt.Errorf("look for a cluster: %w", err)
	}
	chosen := installed[0]
	if err := who.checkReach(chosen.Dir); err != nil {
		return Binaries{}, err
	}
	return chosen, initialize(ctx, cfg, who, chosen)
}

// matching picks the installation whose major version wrote the data.
func matching(cfg Config, installed []Binaries) (Binaries, error) {
	raw, err := os.ReadFile(filepath.Join(cfg.dataDir(), "PG_VERSION"))
	if err != nil {
		return Binaries{}, fmt.Errorf("read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return Binaries{}, fmt.Errorf("read the cluster's version: %w", err)
	}
	var have []string
	for _, binaries := range installed {
		if binaries.Major == major {
			return binaries, nil
		}
		have = append(have, fmt.Sprintf("%d in %s", binaries.Major, binaries.Dir))
	}
	return Binaries{}, fmt.Errorf("%w: %s was written by PostgreSQL %d, installed is %s",
		ErrVersion, cfg.dataDir(), major, strings.Join(have, ", "))
}

// initialize runs initdb beside the final place and renames at the end, so that
// a crash in between leaves nothing that looks like a cluster.
func initialize(ctx context.Context, cfg Config, who owner, binaries Binaries) error {
	unfinished := cfg.dataDir() + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := who.own(unfinished); err != nil {
		return err
	}
	password, err := ensurePassword(cfg.passwordFile())
	if err != nil {
		return err
	}
	// initdb reads the password as its own user, from a file of its own.
	handover := filepath.Join(cfg.Dir, "password.initdb")
	defer func() { _ = os.Remove(handover) }()
	if err := os.WriteFile(handover, []byte(password), 0o600); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	if err := who.own(handover); err != nil {
		return err
	}
	args := []string{
		"-D", unfinished, "-U", Superuser, "--pwfile", handover,
		"--auth-local=trust", "--auth-host=scram-sha-256",
		"--data-checksums", "-E", "UTF8", "--no-locale",
	}
	if !cfg.Durable {
		args = append(args, "--no-sync")
	}
	//nolint:gosec // a program that Find chose, with arguments made here.
	cmd := exec.CommandContext(ctx, filepath.Join(binaries.Dir, "initdb"), args...)
	cmd.Dir = "/"
	cmd.Env = childEnv()
	cmd.SysProcAttr = childAttributes(who.credential())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runPinned(cmd); err != nil {
		return fmt.Errorf("initdb in %s: %w: %s", cfg.Dir, err, lastLines(out.Bytes()))
	}
	if err := os.Rename(unfinished, cfg.dataDir()); err != nil {
		return fmt.Errorf("finish the cluster: %w", err)
	}
	return nil
}

// ensurePassword returns the password in path, making one of 26 random
// characters the first time.
func ensurePassword(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil && len(raw) > 0 {
		return string(raw), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the database password: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("write the database password: %w", err)
	}
	return password, nil
}

// childEnv is the whole environment of the programs: PG* variables of this
// process would otherwise change what they do, and messages stay in English.
func childEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

// lastLines returns the end of some output, enough to see what went wrong.
func lastLines(out []byte) string {
	const most = 8
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return strings.Join(lines, "; ")
}
