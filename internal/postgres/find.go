package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoBinaries means that initdb and postgres were found nowhere. The error
// that wraps it lists every place and how to install them.
var ErrNoBinaries = errors.New("no PostgreSQL server programs found")

// Binaries is one installation of the PostgreSQL server.
type Binaries struct {
	// Dir holds initdb and postgres.
	Dir string
	// Major is the major version, 15 for example.
	Major int
}

// patterns are the places where packages put the server programs, in order.
// Debian and others keep them out of PATH because several versions may coexist.
var patterns = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// installHint is the one line to type per platform.
const installHint = "install them with `apt-get install postgresql` (Debian, Ubuntu), " +
	"`dnf install postgresql-server` (Fedora) or `brew install postgresql@18` (macOS)"

// Find returns every installation it finds, the preferred one first. With
// explicit set it looks there and nowhere else. Otherwise the order is PATH,
// `pg_config --bindir`, then the usual places, in each the newest version first.
// It returns an error that wraps ErrNoBinaries when there is none.
func Find(ctx context.Context, explicit string) ([]Binaries, error) {
	if explicit != "" {
		return findIn(ctx, []string{explicit}, nil)
	}
	var dirs, looked []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link in PATH leads to the directory that has initdb as well.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	looked = append(looked, "PATH")
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	looked = append(looked, "`pg_config --bindir`")
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // fails for malformed patterns only
		slices.SortFunc(found, newestFirst)
		dirs = append(dirs, found...)
		looked = append(looked, pattern)
	}
	return findIn(ctx, dirs, looked)
}

// findIn keeps the directories that have both programs, each once.
func findIn(ctx context.Context, dirs, looked []string) ([]Binaries, error) {
	var out []Binaries
	for _, dir := range dirs {
		if slices.ContainsFunc(out, func(b Binaries) bool { return b.Dir == dir }) {
			continue
		}
		major, err := majorOf(ctx, dir)
		if err != nil {
			if looked == nil {
				looked = append(looked, fmt.Sprintf("%s (%v)", dir, err))
			}
			continue
		}
		out = append(out, Binaries{Dir: dir, Major: major})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w; looked in %s; %s", ErrNoBinaries, strings.Join(looked, ", "), installHint)
	}
	return out, nil
}

// majorOf asks the postgres program in dir for its version.
func majorOf(ctx context.Context, dir string) (int, error) {
	if info, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, err
	} else if info.IsDir() || info.Mode()&0o111 == 0 {
		return 0, fmt.Errorf("%s is not a program", filepath.Join(dir, "initdb"))
	}
	//nolint:gosec // dir comes from the operator or from a fixed list.
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", filepath.Join(dir, "postgres"), err)
	}
	return parseMajor(string(out))
}

// parseMajor reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0)" and "18beta1".
func parseMajor(version string) (int, error) {
	_, rest, found := strings.Cut(version, "(PostgreSQL) ")
	digits := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = rest[:end]
	}
	major, err := strconv.Atoi(digits)
	if !found || err != nil {
		return 0, fmt.Errorf("version %q is not that of PostgreSQL", strings.TrimSpace(version))
	}
	return major, nil
}

// newestFirst orders paths by the first number in which they differ, descending:
// as text, 9 would come before 18.
func newestFirst(a, b string) int {
	return cmp.Or(slices.Compare(numbers(b), numbers(a)), cmp.Compare(a, b))
}

// numbers lists the decimal numbers of a path in their order.
func numbers(path string) []int {
	var out []int
	for _, field := range strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(field)
		if err == nil {
			out = append(out, n)
		}
	}
	return out
}
