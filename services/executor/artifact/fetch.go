package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/blackdice/shipwarden/internal/outward"
	"github.com/blackdice/shipwarden/internal/policy"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Fetcher finds artifacts. It is safe for concurrent use.
type Fetcher struct {
	folder     string
	registries map[string]*configv1.Registry
	transport  *outward.Registries
}

// NewFetcher is a fetcher of files below folder and of images in the registries.
// With "" for folder there are no files. An error names the registry that is
// configured twice.
func NewFetcher(folder string, registries []*configv1.Registry) (*Fetcher, error) {
	f := &Fetcher{folder: folder, registries: make(map[string]*configv1.Registry)}
	for i, r := range registries {
		if f.registries[r.GetHost()] != nil {
			return nil, fmt.Errorf("registries[%d].host: %s is there already", i, r.GetHost())
		}
		f.registries[r.GetHost()] = r
	}
	f.transport = outward.NewRegistries(f.registries)
	return f, nil
}

// Close lets go of connections to registries that nobody uses.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }

// Fetch finds an artifact and verifies its digest. The errors wrap ErrNotFound,
// ErrUnavailable, ErrDigest or ErrRefused.
func (f *Fetcher) Fetch(ctx context.Context, a *releasev1.Artifact) (Artifact, error) {
	found, err := f.find(ctx, a)
	if err != nil {
		return Artifact{}, fmt.Errorf("fetch artifact %s from %s: %w", a.GetName(), a.GetLocation(), err)
	}
	return found, nil
}

func (f *Fetcher) find(ctx context.Context, a *releasev1.Artifact) (Artifact, error) {
	if _, err := Hex(a.GetDigest()); err != nil {
		return Artifact{}, err
	}
	switch a.GetKind() {
	case releasev1.ArtifactKind_ARTIFACT_KIND_FILE, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN,
		releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE, releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE,
		releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN_JSON:
		return f.file(ctx, a)
	case releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE:
		return f.image(ctx, a)
	case releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART:
		if !policy.InRegistry(a) {
			return f.file(ctx, a)
		}
		return f.image(ctx, a)
	case releasev1.ArtifactKind_ARTIFACT_KIND_UNSPECIFIED:
	}
	return Artifact{}, fmt.Errorf("kind %s: %w", a.GetKind(), ErrRefused)
}

// file reads the whole file once: a wrong digest is found before anything is
// done, not in the middle of it.
func (f *Fetcher) file(ctx context.Context, a *releasev1.Artifact) (Artifact, error) {
	content, err := f.openFile(a.GetLocation())
	if err != nil {
		return Artifact{}, err
	}
	info, err := content.Stat()
	_ = content.Close()
	if err != nil {
		return Artifact{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	found := New(a, info.Size(), func(context.Context) (io.ReadCloser, error) {
		return f.openFile(a.GetLocation())
	})
	reader, err := found.Open(ctx)
	if err != nil {
		return Artifact{}, err
	}
	defer func() { _ = reader.Close() }()
	if _, err := io.Copy(io.Discard, contextReader{ctx, reader}); err != nil {
		return Artifact{}, err
	}
	return found, nil
}

// openFile opens a regular file below the folder. A root that is opened each time
// follows the folder when it is replaced as a whole, as a mount may be.
func (f *Fetcher) openFile(location string) (*os.File, error) {
	if f.folder == "" {
		return nil, fmt.Errorf("no artifact_folder is configured: %w", ErrRefused)
	}
	root, err := os.OpenRoot(f.folder)
	if err != nil {
		return nil, fmt.Errorf("artifact_folder: %w: %w", ErrUnavailable, err)
	}
	defer func() { _ = root.Close() }()
	// Opening a pipe waits for a writer unless it is told not to.
	file, err := root.OpenFile(location, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !info.Mode().IsRegular():
		err = fmt.Errorf("not a regular file: %w", ErrRefused)
	case info.Size() > MaxBytes:
		err = fmt.Errorf("%d bytes, allowed are %d: %w", info.Size(), int64(MaxBytes), ErrRefused)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// contextReader ends when its context does.
type contextReader struct {
	ctx    context.Context
	reader io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return r.reader.Read(p)
}
