package referrers

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// repositoryForm is what the distribution specification calls a name: no dot segments,
// which servers and proxies resolve in different ways.
var repositoryForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// locate says how to ask for what is beside an image. Its registry must stand in the
// location as it stands in the configuration: there is no default one.
func (f *Finder) locate(ctx context.Context, image *releasev1.Artifact) (name.Digest, authn.Authenticator, []remote.Option, error) {
	host, path, _ := strings.Cut(image.GetLocation(), "/")
	path, _, _ = strings.Cut(path, ":")
	r := f.registries[host]
	if r == nil {
		return name.Digest{}, nil, nil, fmt.Errorf("%w: %q is no registry that the approval service is configured to ask", ErrLocation, host)
	}
	with := []name.Option{name.StrictValidation}
	if r.GetInsecure() {
		with = append(with, name.Insecure)
	}
	ref, err := name.NewDigest(host+"/"+path+"@"+image.GetDigest(), with...)
	if err != nil || !repositoryForm.MatchString(path) || ref.Context().RegistryStr() != host || ref.Context().RepositoryStr() != path {
		return name.Digest{}, nil, nil, fmt.Errorf("%w: it is not a repository", ErrLocation)
	}
	credentials, err := login(r)
	if err != nil {
		return name.Digest{}, nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return ref, credentials, []remote.Option{
		remote.WithContext(ctx), remote.WithAuth(credentials), remote.WithTransport(f.transport), remote.WithUserAgent("shipwarden"),
		// Who asks again is the step, which knows for how long that makes sense.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}, nil
}

// login reads the credentials anew every time, so that a new password needs no restart.
// Neither the password nor its file's content is ever in an error.
func login(r *configv1.Registry) (authn.Authenticator, error) {
	if r.GetUser() == "" {
		return authn.Anonymous, nil
	}
	password, err := os.ReadFile(r.GetPasswordFile())
	if err != nil {
		return nil, fmt.Errorf("read password_file: %w", err)
	}
	return &authn.Basic{Username: r.GetUser(), Password: strings.TrimRight(string(password), "\r\n")}, nil
}
