package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// keepPlaced is how many artifacts are kept for the way back, with a file beside each.
const keepPlaced = 20

// note is what is known of an artifact that was placed.
type note struct {
	Version string `json:"version"`
}

func (d *Driver) placed() string { return filepath.Join(d.folder, "placed") }

// archive is the file of an artifact; hex has been checked.
func (d *Driver) archive(hex string) string { return filepath.Join(d.placed(), hex+".tar.gz") }

func (d *Driver) notePath(hex string) string { return filepath.Join(d.placed(), hex+".json") }

// kept opens what was placed, of which every byte was held against its digest, and says which
// version it was. The error says why it cannot be placed again.
func (d *Driver) kept(digest string) (file *os.File, version string, err error) {
	hex, err := artifact.Hex(digest)
	if err != nil {
		return nil, "", fmt.Errorf("previous: %w: %w", driver.ErrInvalid, err)
	}
	file, err = os.Open(d.archive(hex))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", errors.New("the artifact is not kept any more")
	}
	if err != nil {
		return nil, "", err
	}
	sum, err := sumOf(file)
	if err == nil && sum != digest {
		err = errors.New("the artifact that is kept was changed")
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err == nil {
		version, err = d.readNote(hex)
	}
	if err != nil {
		_ = file.Close()
		return nil, "", err
	}
	return file, version, nil
}

func (d *Driver) readNote(hex string) (string, error) {
	var n note
	data, err := os.ReadFile(d.notePath(hex))
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err != nil {
		return "", fmt.Errorf("read which version it was: %w", err)
	}
	return n.Version, nil
}

// writeNote replaces a note. It needs no lock: each who writes one has a file of his own until it
// is complete.
func (d *Driver) writeNote(hex string, n note) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(d.placed(), ".note-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), d.notePath(hex))
}

// put puts an artifact beside the state. It needs no lock and harms nobody when it is left
// half done: it gets its name when it is complete and verified.
func (d *Driver) put(ctx context.Context, plan driver.Plan) error {
	if file, version, err := d.kept(plan.Artifact.Digest); err == nil {
		_ = file.Close()
		if version == plan.Version {
			return nil
		}
	}
	hex, err := artifact.Hex(plan.Artifact.Digest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.placed(), 0o700); err != nil {
		return fmt.Errorf("keep artifact: %w", err)
	}
	file, err := fetch(ctx, plan.Artifact, d.placed())
	if err != nil {
		return fmt.Errorf("keep artifact: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	err = file.Sync()
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("keep artifact: %w", err)
	}
	err = d.writeNote(hex, note{Version: plan.Version})
	if err == nil {
		err = os.Rename(file.Name(), d.archive(hex))
	}
	if err == nil {
		err = fence.SyncFolder(d.placed())
	}
	if err != nil {
		return fmt.Errorf("keep artifact: %w", err)
	}
	return nil
}

// fetch copies an artifact, verified at its end, into a new file of a folder, and goes back to
// its beginning.
func fetch(ctx context.Context, a artifact.Artifact, folder string) (*os.File, error) {
	content, err := a.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	file, err := os.CreateTemp(folder, ".fetched-")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(file.Name())
		return nil, err
	}
	return file, nil
}

// content opens what a plan places: what is kept of it, or what is fetched.
func (d *Driver) content(plan driver.Plan) func(ctx context.Context) (*os.File, error) {
	return func(ctx context.Context) (*os.File, error) {
		if file, _, err := d.kept(plan.Artifact.Digest); err == nil {
			return file, nil
		}
		file, err := fetch(ctx, plan.Artifact, filepath.Join(d.folder, "work"))
		if err == nil {
			err = os.Remove(file.Name()) // It stays readable.
		}
		return file, err
	}
}

// back opens what a plan goes back to.
func (d *Driver) back(digest string) func(ctx context.Context) (*os.File, error) {
	return func(context.Context) (*os.File, error) {
		file, _, err := d.kept(digest)
		return file, err
	}
}
