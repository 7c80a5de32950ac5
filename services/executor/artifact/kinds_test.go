package artifact_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
)

// TestEveryKindIsReadByItsDigest: what step 2 looked into is here a digest and nothing
// else, so that what was approved and what is placed are the same bytes.
func TestEveryKindIsReadByItsDigest(t *testing.T) {
	folder, content := t.TempDir(), []byte("whatever it is")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	for _, name := range []string{"shop.yaml", "shop-1.0.0.tgz"} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, image, index := registryWith(t, nil)
	f, err := artifact.NewFetcher(folder, []*configv1.Registry{{Host: host, Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	const chart, plan = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN
	for _, test := range []struct {
		kind             releasev1.ArtifactKind
		location, digest string
		want             error
	}{
		{plan, "shop.yaml", digest, nil},
		{releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE, "shop.yaml", digest, nil},
		{releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE, "shop.yaml", digest, nil},
		{releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, "shop.yaml", digest, nil},
		{chart, "shop-1.0.0.tgz", digest, nil},
		{chart, host + "/shop/web", image, nil},
		{chart, host + "/shop/web:1.0.0", image, nil},
		{releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, host + "/shop/web:all", index, nil},
		// The tag leads elsewhere by now: the digest counts.
		{releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, host + "/shop/web:all", image, nil},
		{plan, "shop.yaml", image, artifact.ErrDigest},
		{chart, "shop.yaml", digest, artifact.ErrRefused},
		{releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, host + "/shop/web:1:2", image, artifact.ErrRefused},
		{releasev1.ArtifactKind_ARTIFACT_KIND_UNSPECIFIED, "shop.yaml", digest, artifact.ErrRefused},
		{99, "shop.yaml", digest, artifact.ErrRefused},
	} {
		found, err := f.Fetch(t.Context(), &releasev1.Artifact{Name: "a", Kind: test.kind, Location: test.location, Digest: test.digest})
		if err == nil {
			var reader io.ReadCloser
			if reader, err = found.Open(t.Context()); err == nil {
				_, err = io.Copy(io.Discard, reader)
				err = errors.Join(err, reader.Close())
			}
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%v at %s: %v, want %v", test.kind, test.location, err, test.want)
		}
	}
}
