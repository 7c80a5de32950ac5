package host

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// errTampered says that a release's folder does not hold what was placed there.
var errTampered = errors.New("the release folder was changed")

// manifest tells what was placed in a release's folder.
type manifest struct {
	Digest  string    `json:"digest"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Tree    string    `json:"tree"`
	Placed  time.Time `json:"placed"`
}

func (d *Driver) readManifest(hex string) (manifest, error) {
	var m manifest
	data, err := os.ReadFile(d.manifest(hex))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", d.manifest(hex), err)
	}
	return m, nil
}

func (d *Driver) writeManifest(hex string, m manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return fence.WriteFile(d.manifest(hex), append(data, '\n'), 0o644)
}

// intact says whether the release's folder is there and holds what was placed in
// it: every name, mode, link and byte.
func (d *Driver) intact(digest string) error {
	hexDigest, err := artifact.Hex(digest)
	if err != nil {
		return err
	}
	m, err := d.readManifest(hexDigest)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the release is not on the machine any more")
	}
	if err != nil {
		return err
	}
	got, err := treeDigest(d.place(hexDigest))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the release folder is not on the machine any more")
	}
	if err != nil {
		return err
	}
	if got != m.Tree || m.Digest != digest {
		return errTampered
	}
	return nil
}

// treeDigest is a SHA-256 over all that is in a folder, in the order of the names.
func treeDigest(folder string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode().IsRegular():
			content, err = fileDigest(path)
		case info.Mode()&fs.ModeSymlink != 0:
			content, err = os.Readlink(path)
		case !info.IsDir():
			err = fmt.Errorf("%s: %w", name, errTampered)
		}
		// Quoted, so that no name can pass for two lines.
		fmt.Fprintf(sum, "%q %s %q\n", name, info.Mode(), content)
		return err
	})
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), err
}

func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
