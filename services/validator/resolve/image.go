package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// place is where in a registry an artifact lies, and how that is asked.
type place struct {
	repository name.Repository
	tag        string
	options    []remote.Option
}

// pinManifest fetches the manifest of an image, an index or a chart by its digest. A
// location that also holds a tag must lead to that same digest: a tag that was moved since
// the request was made means that something else was tested than is to be released. When
// the tag led there is noted. The size is the manifest's, which is what the digest is of.
func (r *Resolver) pinManifest(ctx context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	reg, repository, tag, err := r.locate(a.GetLocation())
	if err != nil {
		return nil, err
	}
	credentials, err := reg.credentials()
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrUnreachable, reg.host, err)
	}
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithAuth(credentials), remote.WithTransport(r.transport),
		// Who asks again is the caller, who knows for how long that makes sense.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}
	pinned := &releasev1.PinnedArtifact{}
	if tag != "" {
		found, err := remote.Head(repository.Tag(tag), options...)
		if err != nil {
			return nil, explainImage(err)
		}
		if found.Digest.String() != a.GetDigest() {
			return nil, fmt.Errorf("%w: tag %q is %s, requested was %s", ErrDigest, tag, found.Digest, a.GetDigest())
		}
		pinned.Tag, pinned.TagResolved = tag, timestamppb.New(r.now())
	}
	found, err := remote.Get(repository.Digest(a.GetDigest()), options...)
	if err != nil {
		return nil, explainImage(err)
	}
	pinned.Digest, pinned.Size, pinned.MediaType = found.Digest.String(), found.Size, string(found.MediaType)
	return pinned, r.ofKind(ctx, a, found, place{repository, tag, options}, pinned)
}

// ofKind looks whether a manifest is of the kind that was asked for, and notes what it
// says of itself.
func (r *Resolver) ofKind(ctx context.Context, a *releasev1.Artifact, found *remote.Descriptor, at place, pinned *releasev1.PinnedArtifact) error {
	chart := a.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART
	switch {
	case found.MediaType.IsIndex() && !chart:
		return index(found, pinned)
	case !found.MediaType.IsImage():
		return fmt.Errorf("%w: it is a %.80q, not an image", ErrLocation, string(found.MediaType))
	case chart:
		return r.chart(ctx, found, at, pinned)
	}
	return image(found)
}

// image refuses what is stored as an image and is none: a chart, a signature.
func image(found *remote.Descriptor) error {
	i, err := found.Image()
	if err != nil {
		return fmt.Errorf("%w: its manifest cannot be read: %w", ErrKind, err)
	}
	manifest, err := i.Manifest()
	if err != nil {
		return fmt.Errorf("%w: its manifest cannot be read: %w", ErrKind, err)
	}
	if !manifest.Config.MediaType.IsConfig() {
		return fmt.Errorf("%w: its configuration is a %.80q, not one of an image", ErrKind, string(manifest.Config.MediaType))
	}
	return nil
}

// repositoryForm is what the distribution specification calls a name: no dot segments,
// which servers and proxies resolve in different ways.
var repositoryForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// locate takes a location apart. The registry must stand in it as it stands in the
// configuration: there is no default one.
func (r *Resolver) locate(location string) (*registry, name.Repository, string, error) {
	refuse := func(why string) (*registry, name.Repository, string, error) {
		return nil, name.Repository{}, "", fmt.Errorf("%w: %s", ErrLocation, why)
	}
	host, path, ok := strings.Cut(location, "/")
	if !ok {
		return refuse("it names no registry")
	}
	reg := r.registries[host]
	if reg == nil {
		return refuse(fmt.Sprintf("%q is not a configured registry", host))
	}
	path, tag, tagged := strings.Cut(path, ":")
	options := []name.Option{name.StrictValidation}
	if reg.insecure {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(host+"/"+path, options...)
	if err != nil || !repositoryForm.MatchString(path) || repository.RegistryStr() != host || repository.RepositoryStr() != path {
		return refuse("it is not a repository")
	}
	if tagged {
		if _, err := name.NewTag(host+"/"+path+":"+tag, options...); err != nil {
			return refuse("its tag is not a tag")
		}
	}
	return reg, repository, tag, nil
}

// explainImage says what it means that a registry gave no manifest.
func explainImage(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		// Its text repeats the URL.
		err = outer.Err
	}
	var answer *transport.Error
	switch {
	case errors.Is(err, ErrDigest):
		return err
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: the registry does not know it", ErrMissing)
	case errors.As(err, &answer):
		return fmt.Errorf("%w: the registry answered with status %d", ErrUnreachable, answer.StatusCode)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
