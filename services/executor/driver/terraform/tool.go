package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// versionTime bounds how long the program may take to say which version it is.
const versionTime = 30 * time.Second

// tool is the program, in the version that the configuration pins.
type tool struct{ path, version string }

// asked are the files that were asked for their version, and what they said, for all targets
// together.
var asked struct {
	sync.Mutex
	files map[string]answer
}

type answer struct {
	file    os.FileInfo
	version string
}

// check asks the program for its version, again where the file is another one. The errors name
// the field and the path; they wrap driver.ErrInvalid, as nothing but a change of the
// configuration or of the machine mends it.
func (t *tool) check(ctx context.Context) error {
	info, err := os.Stat(t.path)
	switch {
	case err != nil:
		return fmt.Errorf("binary: %w: %w", driver.ErrInvalid, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("binary: %s is not an executable file: %w", t.path, driver.ErrInvalid)
	}
	asked.Lock()
	defer asked.Unlock()
	known := asked.files[t.path]
	got := known.version
	if known.file == nil || !os.SameFile(known.file, info) || known.file.Size() != info.Size() || !known.file.ModTime().Equal(info.ModTime()) {
		got, err = ask(ctx, t.path)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("binary: %s does not say its version: %s: %w", t.path, summary(err.Error()), driver.ErrInvalid)
	}
	if asked.files == nil {
		asked.files = map[string]answer{}
	}
	asked.files[t.path] = answer{file: info, version: got}
	if got != t.version {
		return fmt.Errorf("version: %s is version %s, and the configuration demands %s: %w", t.path, got, t.version, driver.ErrInvalid)
	}
	return nil
}

// CheckTool says what is wrong with the program that a configuration names: it is not there,
// cannot be run, or is another version. It runs it with "version" and nothing else.
func CheckTool(path, version string) error {
	return (&tool{path: path, version: version}).check(context.Background())
}

// ask runs the program in an empty folder and without an environment of its own.
func ask(ctx context.Context, path string) (string, error) {
	folder, err := os.MkdirTemp("", "shipwarden-terraform-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	tf, err := tfexec.NewTerraform(folder, path)
	if err != nil {
		return "", err
	}
	rc, err := settings(folder, "")
	if err == nil {
		err = tf.SetEnv(map[string]string{configFile: rc})
	}
	if err != nil {
		return "", err
	}
	var got string
	err = still(func() error {
		v, _, err := tf.Version(ctx, true)
		if err == nil {
			got = v.String()
		}
		return err
	})
	return got, err
}

var (
	// errFailed says that the program ended badly.
	errFailed = errors.New("terraform failed")
	// errStale says that the state has moved on since the plan was made.
	errStale = errors.New("the state has changed since it was planned")
)

// say is what an error of the program means. Its own text stays where it is: it quotes values.
func say(what, text string) error {
	short := summary(text)
	switch {
	case strings.Contains(text, "Error acquiring the state lock"):
		return fmt.Errorf("%s: somebody else has the lock of the state: %w", what, driver.ErrBusy)
	case strings.Contains(text, "Saved plan is stale"):
		return fmt.Errorf("%s: %w: %w", what, errStale, driver.ErrConflict)
	}
	return fmt.Errorf("%s: %w: %s", what, errFailed, short)
}

// maxSummary bounds what is said of a failure.
const maxSummary = 300

// summary is the titles of what the program complained about, without the code and the values
// that it quotes below them.
func summary(text string) string {
	var titles []string
	size := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "│╷╵ "))
		title, ok := strings.CutPrefix(line, "Error: ")
		if !ok || size+len(title) > maxSummary || slices.Contains(titles, title) {
			continue
		}
		size += len(title)
		titles = append(titles, title)
	}
	if len(titles) == 0 {
		return "it does not say why"
	}
	return strings.ToValidUTF8(strings.Join(titles, "; "), "")
}
