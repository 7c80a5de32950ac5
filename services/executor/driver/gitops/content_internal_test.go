package gitops

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

func archive(t *testing.T, files map[string]string) artifact.Artifact {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	out := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if to, ok := strings.CutPrefix(files[name], "-> "); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(out, files[name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(out.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return of("shop.tar.gz", packed.Bytes())
}

func of(location string, content []byte) artifact.Artifact {
	kind := releasev1.ArtifactKind_ARTIFACT_KIND_FILE
	if strings.HasSuffix(location, ".tar.gz") {
		kind = releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE
	}
	return artifact.New(&releasev1.Artifact{Name: "shop", Kind: kind, Location: location, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content))},
		int64(len(content)), func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
}

func driverOf(t *testing.T) *Driver {
	t.Helper()
	d, err := New(&configv1.GitopsDriver{
		Repository: gitrepotest.New(t).Config(), Path: "apps/shop", KubeconfigFile: "/kubeconfig", Namespace: "argocd",
		Resource: &configv1.GitopsResource{Kind: configv1.GitopsResource_KIND_ARGOCD_APPLICATION, Name: "shop"},
	}, Options{Target: "shop-eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData: {password: hunter2}\n"

func TestWhatBelongsIntoNoRepositoryIsRefused(t *testing.T) {
	d := driverOf(t)
	for name, c := range map[string]struct {
		artifact artifact.Artifact
		want     string
	}{
		"a secret":                 {of("shop.yaml", []byte("kind: ConfigMap\n---\n"+secret)), "secret belongs into no artifact"},
		"a secret in an archive":   {archive(t, map[string]string{"base/a.yaml": secret}), "base/a.yaml: is a Secret"},
		"a secret in a list":       {of("shop.json", []byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret"}]}`)), "is a Secret"},
		"a list of secrets":        {of("shop.yaml", []byte("apiVersion: v1\nkind: SecretList\nitems: [{data: {a: b}}]\n")), "is a Secret"},
		"a link":                   {archive(t, map[string]string{"a.yaml": "a: 1\n", "b.yaml": "-> a.yaml"}), `"b.yaml" is a link`},
		"Git's own folder":         {archive(t, map[string]string{".git/config": "[core]\n"}), ".git"},
		"nothing":                  {archive(t, nil), "has 0 files"},
		"a file that is a program": {of("shop.exe", []byte("x")), "does not end with .yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(driver.Plan{Artifact: c.artifact})
			if err == nil {
				_, err = d.content(t.Context(), c.artifact)
			}
			if !errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := check(driver.Plan{Artifact: artifact.New(&releasev1.Artifact{Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Digest: "sha256:" + strings.Repeat("0", 64)}, 0, nil)}); !errors.Is(err, driver.ErrUnsupported) {
		t.Errorf("an image: %v", err)
	}
	files, err := d.content(t.Context(), archive(t, map[string]string{"kustomization.yaml": "resources: [a/b.yaml]\n", "a/b.yaml": "a: 1\n", "templates/c.yaml": "{{ .Values.a }}\n"}))
	if err != nil || len(files) != 3 || string(files["a/b.yaml"]) != "a: 1\n" {
		t.Errorf("got %q, %v", files, err)
	}
}

func TestWhatWouldChangeInFilesIsSaidWithoutSecrets(t *testing.T) {
	d := driverOf(t)
	before := map[string][]byte{
		"deployment.yaml": []byte("kind: Deployment\nmetadata: {name: shop}\nspec: {replicas: 2, env: [{name: DB_PASSWORD, value: hunter2}]}\n"),
		"same.yaml":       []byte("a: 1\n"), "format.yaml": []byte("a: 1 # one\n"), "gone.yaml": []byte("a: 1\n"), "notes.txt": []byte("one\ntwo\nthree\n"),
	}
	after := map[string][]byte{
		"deployment.yaml": []byte("kind: Deployment\nmetadata: {name: shop}\nspec: {replicas: 3, env: [{name: DB_PASSWORD, value: hunter3}]}\n"),
		"same.yaml":       []byte("a: 1\n"), "format.yaml": []byte("a: 1\n"), "notes.txt": []byte("one\n2\x1b[31m\nthree\n"), "new.yaml": []byte("b: 2\n"),
	}
	plan := driver.Plan{Release: "one", Target: "shop"}
	got := d.difference(plan, before, after)
	for _, want := range []string{
		"folder apps/shop of ", "\nfiles before and after: argon2id:", "change deployment.yaml\n", "spec.replicas: 2 -> 3\n",
		"change format.yaml\n  comments, order, quotes or white space alone\n", "delete gone.yaml\n", "create new.yaml\n", "change notes.txt\n  2 - two\n  2 + 2?[31m\n",
		"1 to create, 3 to change, 1 to delete, 1 as they are\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	// Who knows the rest of the files could try what is hidden, as fast as a digest is made.
	for _, not := range []string{"sha256", strings.TrimPrefix(sum(after), "sha256:"), "hunter", "same.yaml", "three"} {
		if strings.Contains(got, not) {
			t.Errorf("%q is shown", not)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	other := plan
	if other.Release = "another"; d.difference(other, before, after) == got {
		t.Error("the same secrets are the same digest in another release")
	}
	after["deployment.yaml"] = []byte(strings.ReplaceAll(string(after["deployment.yaml"]), "hunter3", "hunter4"))
	if d.difference(plan, before, after) == got {
		t.Error("another secret is the same change")
	}
}
