package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// FileMediaType is the media type of artifacts of kind FILE: they are taken as they
// are, whatever their name or content says.
const FileMediaType = "application/octet-stream"

// pinFile hashes a regular file below the folder.
func pinFile(ctx context.Context, folder string, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	root, err := openFolder(folder, a.GetLocation())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := openRegular(root, a.GetLocation())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, untilDone{ctx, file})
	if err != nil {
		return nil, fmt.Errorf("%w: read: %w", ErrUnreachable, cause(err))
	}
	digest := "sha256:" + hex.EncodeToString(hash.Sum(nil))
	if digest != a.GetDigest() {
		return nil, fmt.Errorf("%w: it is %s, requested was %s", ErrDigest, digest, a.GetDigest())
	}
	return &releasev1.PinnedArtifact{Digest: digest, Size: size, MediaType: FileMediaType}, nil
}

// openFolder opens the artifact folder for a location below it.
func openFolder(folder, location string) (*os.Root, error) {
	if folder == "" {
		return nil, fmt.Errorf("%w: no artifact folder is configured", ErrLocation)
	}
	if !filepath.IsLocal(location) {
		return nil, fmt.Errorf("%w: it leaves the artifact folder", ErrLocation)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("%w: open artifact folder: %w", ErrUnreachable, cause(err))
	}
	return root, nil
}

// openRegular opens a file, and nothing that only has a name like one: a pipe would
// never end, a device may do something when it is opened.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, explainFile(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrLocation)
	}
	// What lies there may have been exchanged since: opening does not wait, and what
	// was opened is looked at again.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainFile(err)
	}
	if info, err = file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%w: it is not a regular file", ErrLocation), file.Close())
	}
	return file, nil
}

// explainFile says what it means that a file could not be opened.
func explainFile(err error) error {
	switch err := cause(err); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return ErrMissing
	case isErrno(err):
		return fmt.Errorf("%w: open: %w", ErrUnreachable, err)
	default:
		// The root's own refusals have no error number: a way out of the folder.
		return fmt.Errorf("%w: %w", ErrLocation, err)
	}
}

// isErrno tells whether the operating system could not, rather than that the location
// can never be opened or that os.Root refused it.
func isErrno(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno != syscall.ELOOP && errno != syscall.ENAMETOOLONG && errno != syscall.EINVAL
}

// cause strips the path from an error: the folder is nobody's business but the
// operator's, and the location is named anyway.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// untilDone is a reader that ends with its context.
type untilDone struct {
	ctx context.Context //nolint:containedctx // it lives as long as one copy
	io.Reader
}

// Read reads unless the context is done.
func (r untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
