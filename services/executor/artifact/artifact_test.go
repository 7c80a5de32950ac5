package artifact_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
)

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func fileAt(location string, content []byte) *releasev1.Artifact {
	return &releasev1.Artifact{
		Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: location, Digest: digestOf(content),
	}
}

func fetcher(t *testing.T, folder string) *artifact.Fetcher {
	t.Helper()
	f, err := artifact.NewFetcher(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsFetchedByDigest(t *testing.T) {
	folder, content := t.TempDir(), []byte("a program")
	write(t, filepath.Join(folder, "shop/1.0.0/shop"), content)
	a, err := fetcher(t, folder).Fetch(t.Context(), fileAt("shop/1.0.0/shop", content))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(got, content) || a.Size != int64(len(content)) {
		t.Errorf("read %q of %d bytes, %v", got, a.Size, err)
	}
}

func TestFileChangedAfterFetchIsNotReadToItsEnd(t *testing.T) {
	folder, content := t.TempDir(), []byte("approved")
	path := filepath.Join(folder, "shop")
	write(t, path, content)
	a, err := fetcher(t, folder).Fetch(t.Context(), fileAt("shop", content))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, []byte("swapped!"))
	reader, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := io.ReadAll(reader); !errors.Is(err, artifact.ErrDigest) {
		t.Errorf("got %v, want %v", err, artifact.ErrDigest)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	outside, folder, content := t.TempDir(), t.TempDir(), []byte("x")
	write(t, filepath.Join(outside, "secret"), content)
	write(t, filepath.Join(folder, "inside"), content)
	for link, to := range map[string]string{
		"absolute": filepath.Join(outside, "secret"), "relative": "../" + filepath.Base(outside) + "/secret",
		"folder": outside, "dangling": "nowhere", "around": "./inside",
	} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	large, err := os.Create(filepath.Join(folder, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(artifact.MaxBytes+1), large.Close()); err != nil {
		t.Fatal(err)
	}
	other := fileAt("inside", []byte("y"))
	upper := fileAt("inside", content)
	upper.Digest = strings.ToUpper(upper.GetDigest())
	md5 := fileAt("inside", content)
	md5.Digest = "md5:d41d8cd98f00b204e9800998ecf8427e"
	unspecified := fileAt("inside", content)
	unspecified.Kind = releasev1.ArtifactKind_ARTIFACT_KIND_UNSPECIFIED
	for _, test := range []struct {
		name string
		a    *releasev1.Artifact
		want error
	}{
		{"another digest than what is there", other, artifact.ErrDigest},
		{"upper-case digest", upper, artifact.ErrRefused},
		{"digest of another kind", md5, artifact.ErrRefused},
		{"no kind", unspecified, artifact.ErrRefused},
		{"nothing there", fileAt("none", content), artifact.ErrNotFound},
		{"path upwards", fileAt("../"+filepath.Base(outside)+"/secret", content), artifact.ErrRefused},
		{"path upwards in the middle", fileAt("a/../../"+filepath.Base(outside)+"/secret", content), artifact.ErrNotFound},
		{"absolute path", fileAt(filepath.Join(outside, "secret"), content), artifact.ErrRefused},
		{"absolute link out", fileAt("absolute", content), artifact.ErrRefused},
		{"relative link out", fileAt("relative", content), artifact.ErrRefused},
		{"through a linked folder", fileAt("folder/secret", content), artifact.ErrRefused},
		{"dangling link", fileAt("dangling", content), artifact.ErrNotFound},
		{"folder", fileAt(".", content), artifact.ErrRefused},
		{"pipe", fileAt("pipe", content), artifact.ErrRefused},
		{"too large", fileAt("large", content), artifact.ErrRefused},
		{"link inside is fine", fileAt("around", content), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := fetcher(t, folder).Fetch(t.Context(), test.a); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := fetcher(t, "").Fetch(t.Context(), fileAt("inside", content)); !errors.Is(err, artifact.ErrRefused) {
		t.Errorf("without a folder: %v", err)
	}
	if _, err := fetcher(t, filepath.Join(folder, "gone")).Fetch(t.Context(), fileAt("inside", content)); !errors.Is(err, artifact.ErrUnavailable) {
		t.Errorf("with a missing folder: %v", err)
	}
}
