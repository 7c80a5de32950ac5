package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var (
	// ErrMissing means that there is no such artifact. It is final.
	ErrMissing = errors.New("artifact is missing")
	// ErrDigest means that the artifact is another one than was requested. It is
	// final, and a reason to look closely.
	ErrDigest = errors.New("digest differs")
	// ErrLocation means that the artifact's location is none from which artifacts are
	// taken, or that what lies there is not of the requested kind. It is final.
	ErrLocation = errors.New("location not accepted")
	// ErrKind means that what lies there is not what the artifact's kind says. It is final.
	ErrKind = errors.New("artifact is of another kind")
	// ErrUnreachable means that nobody could tell, for instance because a registry
	// did not answer or refused us. It may pass.
	ErrUnreachable = errors.New("artifact cannot be reached")
	// ErrConfig means that the configuration cannot be used.
	ErrConfig = errors.New("artifact configuration")
)

// Permanent tells whether asking again for the same artifact is useless.
func Permanent(err error) bool {
	return errors.Is(err, ErrMissing) || errors.Is(err, ErrDigest) || errors.Is(err, ErrLocation) || errors.Is(err, ErrKind)
}

// Resolver pins artifacts. It is safe for concurrent use.
type Resolver struct {
	folder     string
	registries map[string]*registry
	transport  http.RoundTripper
	now        func() time.Time
}

// Config says where artifacts are taken from.
type Config struct {
	// Folder is the folder below which artifacts lie that are not in a registry. Empty
	// means that there are none.
	Folder string
	// Registries are all servers that may be asked for images.
	Registries []*configv1.Registry
	// Names finds the addresses of registries. Nil means the system's.
	Names *net.Resolver
	// Now is the clock by which a tag was resolved. Nil means the system's.
	Now func() time.Time
}

// New returns a resolver. The error is an ErrConfig that names every wrong field.
func New(c Config) (*Resolver, error) {
	r := &Resolver{folder: c.Folder, registries: map[string]*registry{}, now: c.Now}
	if r.now == nil {
		r.now = time.Now
	}
	var wrong []error
	for i, entry := range c.Registries {
		reg, err := newRegistry(entry)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%w: registries[%d].host: %w", ErrConfig, i, err))
			continue
		}
		if r.registries[reg.host] != nil {
			wrong = append(wrong, fmt.Errorf("%w: registries[%d].host: %q is configured twice", ErrConfig, i, reg.host))
			continue
		}
		r.registries[reg.host] = reg
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	r.transport = newTransport(r.registries, c.Names)
	return r, nil
}

// Pin finds the artifact, computes its digest and compares it with the requested one.
// The errors are ErrMissing, ErrDigest, ErrLocation, ErrKind and ErrUnreachable; they name the
// artifact, and hold no credentials.
func (r *Resolver) Pin(ctx context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	pinned, err := r.pin(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("artifact %q at %q: %w", a.GetName(), a.GetLocation(), err)
	}
	pinned.Name, pinned.Kind, pinned.Location = a.GetName(), a.GetKind(), a.GetLocation()
	return pinned, nil
}

// pin gives the artifact to what knows its kind.
func (r *Resolver) pin(ctx context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	switch a.GetKind() {
	case releasev1.ArtifactKind_ARTIFACT_KIND_FILE:
		return pinFile(ctx, r.folder, a)
	case releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART,
		releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE,
		releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE, releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN_JSON:
		if policy.InRegistry(a) {
			return r.pinManifest(ctx, a)
		}
		return pinContent(ctx, r.folder, a)
	case releasev1.ArtifactKind_ARTIFACT_KIND_UNSPECIFIED:
	}
	return nil, fmt.Errorf("%w: kind %v is not known", ErrLocation, a.GetKind())
}
