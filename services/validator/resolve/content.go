package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve/inspect"
)

// maxContent bounds a file whose content is looked at.
const maxContent = 512 << 20

// look says what a content is, or why it is not of its kind, what its media type is, and
// of a plan what it would change.
func look(a *releasev1.Artifact, content io.Reader) (title, mediaType string, plan *releasev1.PlanChanges, err error) {
	switch a.GetKind() { //nolint:exhaustive // The others are looked at below.
	case releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN:
		p, err := inspect.TerraformPlan(content)
		return p.Title(), "application/vnd.hashicorp.terraform.plan", p.Changes, err
	case releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN_JSON:
		p, err := inspect.TerraformPlanJSON(content)
		return p.Title() + " in JSON", "application/json", p.Changes, err
	}
	title, mediaType, err = describe(a, content)
	return title, mediaType, nil, err
}

func describe(a *releasev1.Artifact, content io.Reader) (title, mediaType string, err error) {
	switch a.GetKind() {
	case releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART:
		chart, err := inspect.HelmChart(content)
		if err == nil {
			err = chart.Named(a.GetLocation(), "")
		}
		return chart.Title(), chartContent, err
	case releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE:
		files, err := inspect.TerraformModule(content)
		return fmt.Sprintf("module of %d files", files), FileMediaType, err
	case releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE:
		files, err := inspect.Archive(content)
		return fmt.Sprintf("archive of %d files", files), FileMediaType, err
	case releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION:
		documents, err := inspect.Configuration(a.GetLocation(), content)
		mediaType := "application/yaml"
		if strings.HasSuffix(a.GetLocation(), ".json") {
			mediaType = "application/json"
		}
		return fmt.Sprintf("configuration of %d documents", documents), mediaType, err
	case releasev1.ArtifactKind_ARTIFACT_KIND_FILE, releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, releasev1.ArtifactKind_ARTIFACT_KIND_UNSPECIFIED,
		releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN_JSON:
	}
	return "", FileMediaType, nil
}

// pinContent reads a regular file below the folder once: what its digest is computed of
// is what is looked at.
func pinContent(ctx context.Context, folder string, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
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
	return examine(ctx, a, file)
}

// examine computes the digest of a content and looks at what it is. That it is another
// one than was requested is said first: what it is does not matter then.
func examine(ctx context.Context, a *releasev1.Artifact, content io.Reader) (*releasev1.PinnedArtifact, error) {
	hash := sha256.New()
	source := &source{reader: io.LimitReader(untilDone{ctx, content}, maxContent+1)}
	read := io.TeeReader(source, hash)
	title, mediaType, plan, wrong := look(a, read)
	_, err := io.Copy(io.Discard, read) // up to where the digest is known
	switch digest := "sha256:" + hex.EncodeToString(hash.Sum(nil)); {
	case source.err != nil || err != nil:
		return nil, fmt.Errorf("%w: read: %w", ErrUnreachable, cause(errors.Join(source.err, err)))
	case source.size > maxContent:
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrKind, int64(maxContent))
	case digest != a.GetDigest():
		return nil, fmt.Errorf("%w: it is %s, requested was %s", ErrDigest, digest, a.GetDigest())
	case wrong != nil:
		return nil, fmt.Errorf("%w: %w", ErrKind, wrong)
	default:
		return &releasev1.PinnedArtifact{Digest: digest, Size: source.size, MediaType: mediaType, Title: title, Plan: plan}, nil
	}
}

// source counts what is read, and keeps an error of reading apart from what is found
// wrong with what was read.
type source struct {
	reader io.Reader
	size   int64
	err    error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.reader.Read(p)
	s.size += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
