package gitops

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// maxFiles is the most files that an artifact may hold; together they may measure
// cluster.MaxManifests.
const maxFiles = 1000

// formats are the ends of the names of files that hold manifests.
var formats = []string{".yaml", ".yml", ".json"}

// check refuses what this driver cannot place.
func check(plan driver.Plan) error {
	a := plan.Artifact
	if _, err := artifact.Hex(a.Digest); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", a.Name, driver.ErrInvalid, err)
	}
	switch a.Kind { //nolint:exhaustive // The others are refused.
	case releasev1.ArtifactKind_ARTIFACT_KIND_FILE, releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION:
		if !a.IsArchive() && !slices.Contains(formats, path.Ext(a.Location)) {
			return fmt.Errorf("artifact %s: its location does not end with .yaml, .yml or .json: %w", a.Name, driver.ErrUnsupported)
		}
		return nil
	case releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE:
		if a.IsArchive() {
			return nil
		}
		return fmt.Errorf("artifact %s: an archive of manifests is a tar.gz: %w", a.Name, driver.ErrUnsupported)
	}
	return fmt.Errorf("artifact %s: kind %s, a folder of a repository takes files, configuration documents and tar.gz archives: %w", a.Name, a.Kind, driver.ErrUnsupported)
}

// content reads the files of an artifact, by their paths within the folder: those of an archive, or
// the one, which keeps its name.
func (d *Driver) content(ctx context.Context, a artifact.Artifact) (map[string][]byte, error) {
	in, err := a.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	files := make(map[string][]byte)
	if a.IsArchive() {
		if files, err = unpack(in); err != nil {
			return nil, fmt.Errorf("artifact %s: %w", a.Name, err)
		}
	} else {
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		files[path.Base(a.Location)] = text
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := gitrepo.CheckPath(d.path + "/" + name); err != nil {
			return nil, fmt.Errorf("artifact %s: %q: %w: %w", a.Name, name, driver.ErrUnsupported, err)
		}
		if size += len(files[name]); size > cluster.MaxManifests {
			return nil, fmt.Errorf("artifact %s: more than %d bytes: %w", a.Name, cluster.MaxManifests, driver.ErrUnsupported)
		}
		if err := noSecret(name, files[name]); err != nil {
			return nil, fmt.Errorf("artifact %s: %s: %w", a.Name, name, err)
		}
	}
	if len(files) == 0 || len(files) > maxFiles {
		return nil, fmt.Errorf("artifact %s: has %d files, and 1 to %d are taken: %w", a.Name, len(files), maxFiles, driver.ErrUnsupported)
	}
	return files, nil
}

// unpack reads the files of an archive.
func unpack(in io.Reader) (map[string][]byte, error) {
	outer, err := os.MkdirTemp("", "shipwarden-gitops-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(outer) }()
	inner := filepath.Join(outer, "content")
	limits := artifact.DefaultLimits
	limits.Bytes, limits.Entries = 2*cluster.MaxManifests, 2*maxFiles
	if err := artifact.Extract(in, inner, limits); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	files := make(map[string][]byte)
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%q is a link: %w", name, driver.ErrUnsupported)
		}
		files[name], err = fs.ReadFile(root.FS(), name)
		return err
	})
	return files, err
}

// sum is the digest of files, names and contents; "" for none.
func sum(files map[string][]byte) string {
	if len(files) == 0 {
		return ""
	}
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(all, "%x %s\n", sha256.Sum256(files[name]), name)
	}
	return fmt.Sprintf("sha256:%x", all.Sum(nil))
}

// documents are those of a file of YAML or JSON; false where it is none, as a template is.
func documents(name string, text []byte) ([]any, bool) {
	if !slices.Contains(formats, path.Ext(name)) {
		return nil, false
	}
	var out []any
	for in := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc any
		err := in.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, true
		}
		if err != nil {
			return nil, false
		}
		if doc != nil {
			out = append(out, doc)
		}
	}
}

// noSecret refuses a Secret of Kubernetes: whatever is committed stays in the history, and those
// who read the repository read it.
func noSecret(name string, text []byte) error {
	docs, _ := documents(name, text)
	for _, doc := range docs {
		if err := secretless(doc); err != nil {
			return err
		}
	}
	return nil
}

func secretless(doc any) error {
	o, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	kind, _ := o["kind"].(string)
	if o["apiVersion"] == "v1" && kind == "Secret" {
		return fmt.Errorf("is a Secret, and a secret belongs into no artifact and no repository: name one that is there: %w", driver.ErrUnsupported)
	}
	if items, ok := o["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		for _, item := range items {
			if kind == "SecretList" {
				return secretless(map[string]any{"apiVersion": "v1", "kind": "Secret"})
			}
			if err := secretless(item); err != nil {
				return err
			}
		}
	}
	return nil
}
