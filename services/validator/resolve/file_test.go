package resolve_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
)

const content = "the application\n"

func TestPinFile(t *testing.T) {
	folder := artifactFolder(t)
	tests := []struct {
		name, location, digest string
		want                   error
	}{
		{"a file", "shop-1.4.2.tar", digestOf(content), nil},
		{"a file in a folder", "shop/1.4.2/shop.tar", digestOf(content), nil},
		{"a link inside of the folder", "link-inside", digestOf(content), nil},
		{"no such file", "shop-1.4.3.tar", digestOf(content), resolve.ErrMissing},
		{"a file taken for a folder", "shop-1.4.2.tar/x", digestOf(content), resolve.ErrMissing},
		{"other content", "shop-1.4.2.tar", digestOf("another"), resolve.ErrDigest},
		{"an empty file", "empty", digestOf(content), resolve.ErrDigest},
		{"no digest", "shop-1.4.2.tar", "", resolve.ErrDigest},
		{"a folder", "shop", digestOf(content), resolve.ErrLocation},
		{"a pipe", "pipe", digestOf(content), resolve.ErrLocation},
		{"up and out", "../outside.tar", digestOf(content), resolve.ErrLocation},
		{"up and out, later", "shop/../../outside.tar", digestOf(content), resolve.ErrLocation},
		{"an absolute path", filepath.Join(filepath.Dir(folder), "outside.tar"), digestOf(content), resolve.ErrLocation},
		{"a link out of the folder", "link-outside", digestOf(content), resolve.ErrLocation},
		{"an absolute link", "link-absolute", digestOf(content), resolve.ErrLocation},
		{"a folder that is a link out", "folder-outside/outside.tar", digestOf(content), resolve.ErrLocation},
		{"a link to itself", "loop", digestOf(content), resolve.ErrLocation},
		{"a device", "null", digestOf(""), resolve.ErrLocation},
		{"nothing", "", digestOf(content), resolve.ErrLocation},
		{"a zero byte", "shop\x00", digestOf(content), resolve.ErrLocation},
		{"a name longer than any", strings.Repeat("x", 300), digestOf(content), resolve.ErrLocation},
	}
	r := resolver(t, resolve.Config{Folder: folder})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &releasev1.Artifact{
				Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: tt.location, Digest: tt.digest,
			}
			got, err := r.Pin(t.Context(), a)
			if tt.want != nil {
				if !errors.Is(err, tt.want) || got != nil {
					t.Errorf("Pin = %v, %v, want %v", got, err, tt.want)
				}
				if !resolve.Permanent(err) {
					t.Errorf("%v may pass, want it final", err)
				}
				return
			}
			want := &releasev1.PinnedArtifact{
				Name: "shop", Kind: a.GetKind(), Location: tt.location, Digest: digestOf(content),
				Size: int64(len(content)), MediaType: resolve.FileMediaType,
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
				t.Errorf("Pin: %v\n%s", err, diff)
			}
		})
	}
}

func TestFilesNeedAFolder(t *testing.T) {
	a := &releasev1.Artifact{Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: "shop-1.4.2.tar", Digest: digestOf(content)}
	if _, err := resolver(t, resolve.Config{}).Pin(t.Context(), a); !errors.Is(err, resolve.ErrLocation) {
		t.Errorf("without a folder: %v, want %v", err, resolve.ErrLocation)
	}
	gone := filepath.Join(t.TempDir(), "not-mounted")
	_, err := resolver(t, resolve.Config{Folder: gone}).Pin(t.Context(), a)
	if !errors.Is(err, resolve.ErrUnreachable) || resolve.Permanent(err) {
		t.Errorf("with a folder that is not there: %v, want %v", err, resolve.ErrUnreachable)
	}
	if err != nil && strings.Contains(err.Error(), gone) {
		t.Errorf("the error tells strangers where the folder is: %v", err)
	}
}

func TestAnUnknownKindIsNotPinned(t *testing.T) {
	a := &releasev1.Artifact{Kind: 99, Location: "x", Digest: digestOf(content)}
	if _, err := resolver(t, resolve.Config{}).Pin(t.Context(), a); !errors.Is(err, resolve.ErrLocation) {
		t.Errorf("Pin = %v, want %v", err, resolve.ErrLocation)
	}
}

func TestHashingEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &releasev1.Artifact{Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: "shop-1.4.2.tar", Digest: digestOf(content)}
	_, err := resolver(t, resolve.Config{Folder: artifactFolder(t)}).Pin(ctx, a)
	if !errors.Is(err, resolve.ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Pin = %v, want %v", err, context.Canceled)
	}
}

// artifactFolder makes a folder of artifacts, with a file beside it that is none.
func artifactFolder(t *testing.T) string {
	t.Helper()
	parent := t.TempDir()
	folder := filepath.Join(parent, "artifacts")
	outside := filepath.Join(parent, "outside.tar")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(folder, "shop", "1.4.2"), 0o755))
	for path, text := range map[string]string{
		outside: content, filepath.Join(folder, "shop-1.4.2.tar"): content,
		filepath.Join(folder, "shop/1.4.2/shop.tar"): content, filepath.Join(folder, "empty"): "",
	} {
		check(os.WriteFile(path, []byte(text), 0o644))
	}
	for name, to := range map[string]string{
		"link-inside": "shop/1.4.2/shop.tar", "link-outside": "../outside.tar", "link-absolute": outside,
		"folder-outside": "..", "loop": "loop", "null": "/dev/null",
	} {
		check(os.Symlink(to, filepath.Join(folder, name)))
	}
	check(syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o644))
	return folder
}

func digestOf(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

func resolver(t *testing.T, c resolve.Config) *resolve.Resolver {
	t.Helper()
	r, err := resolve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
