package referrers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxPages bounds the answers over which a registry may spread what refers to an image.
const maxPages = 64

// errNoAPI means that a registry does not have the referrers API.
var errNoAPI = errors.New("no referrers API")

// linkForm is one link of a Link header (RFC 8288): its target, and its parameters.
var linkForm = regexp.MustCompile(`^\s*<([^<>]*)>((?:\s*;\s*[^\s;,="<>]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"<>]+))?)*)\s*(?:,|$)`)

// relationForm is the relation among the parameters of a link.
var relationForm = regexp.MustCompile(`(?i);\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))`)

// list returns the manifests that refer to the subject, as its registry lists them: by the
// referrers API, page by page to the last, or by the tag scheme where it has no such API.
//
// The library reads the first page alone, and takes a list under a media type with a
// parameter for a registry without the API. Either would make a statement that is there
// look like one that is not.
func (f *Finder) list(ctx context.Context, subject name.Digest, credentials authn.Authenticator, options []remote.Option) ([]v1.Descriptor, error) {
	repository := subject.Context()
	authenticated, err := transport.NewWithContext(ctx, repository.Registry, credentials, f.transport, []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, explain(err)
	}
	client := &http.Client{Transport: transport.NewUserAgent(authenticated, "shipwarden")}
	at := &url.URL{
		Scheme: repository.Scheme(), Host: repository.RegistryStr(),
		Path: "/v2/" + repository.RepositoryStr() + "/referrers/" + subject.DigestStr(),
	}
	var all []v1.Descriptor
	for page := range maxPages {
		some, next, err := ask(ctx, client, at)
		switch {
		case errors.Is(err, errNoAPI) && page == 0:
			return tagged(subject, options) // A later page that is not there is a page that is missing.
		case err != nil:
			return nil, err
		}
		if all = append(all, some...); len(all) > maxReferrers {
			return nil, fmt.Errorf("%w: more than %d manifests refer to it", ErrBounds, maxReferrers)
		}
		if next == nil {
			return all, nil
		}
		at = next
	}
	return nil, fmt.Errorf("%w: what refers to it is listed on more than %d pages", ErrBounds, maxPages)
}

// ask reads one page, and where the next one is; nil for none.
func ask(ctx context.Context, client *http.Client, at *url.URL) ([]v1.Descriptor, *url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, nil, explain(err)
	}
	request.Header.Set("Accept", string(types.OCIImageIndex))
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, explain(err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusBadRequest, http.StatusNotAcceptable:
		return nil, nil, fmt.Errorf("%w: %w: it answered with status %d", ErrUnreachable, errNoAPI, response.StatusCode)
	default:
		return nil, nil, explain(transport.CheckError(response, http.StatusOK))
	}
	body, err := io.ReadAll(response.Body) // The transport has bounded it.
	if err != nil {
		return nil, nil, explain(err)
	}
	manifests, err := index(response.Header.Get("Content-Type"), body)
	if err != nil {
		if foreign(response.Header.Get("Content-Type"), body) {
			err = fmt.Errorf("%w: %w", err, errNoAPI)
		}
		return nil, nil, err
	}
	next, err := following(response.Header.Values("Link"), at)
	return manifests, next, err
}

// foreign reports whether an answer with status 200 is none of the API at all, as a
// registry gives that answers every path that it does not know with a page for people. What
// can be read as a list of manifests is the API's under another type: to take it for a
// registry without the API would make statements that are there look like none.
func foreign(contentType string, body []byte) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && types.MediaType(media).IsIndex() {
		return false
	}
	list, err := v1.ParseIndexManifest(strings.NewReader(string(body)))
	return err != nil || list.SchemaVersion == 0 && list.Manifests == nil
}

// tagged reads the list that is kept under a tag where a registry does not have the API. A
// tag that is not there is a list that is empty, and so is one that leads to the subject
// itself: GitLab's registry takes the name of the tag for the digest.
func tagged(subject name.Digest, options []remote.Option) ([]v1.Descriptor, error) {
	got, err := remote.Get(subject.Context().Tag(strings.Replace(subject.DigestStr(), ":", "-", 1)), options...)
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return nil, nil
	case err != nil:
		return nil, explain(err)
	case got.Digest.String() == subject.DigestStr():
		return nil, nil
	}
	return index(string(got.MediaType), got.Manifest)
}

// index reads a list of manifests. What is none is an error: anything at all would read as
// a list of nothing.
func index(contentType string, body []byte) ([]v1.Descriptor, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || !types.MediaType(media).IsIndex() {
		return nil, fmt.Errorf("%w: it answered with %.64q where a list of manifests is expected", ErrUnreachable, contentType)
	}
	list, err := v1.ParseIndexManifest(strings.NewReader(string(body)))
	if err != nil || list.SchemaVersion != 2 {
		return nil, fmt.Errorf("%w: what it answered with is no list of manifests", ErrUnreachable)
	}
	return list.Manifests, nil
}

// following returns where the next page is, by the headers of one; nil where it is the
// last. It has to be of the same list: a registry sends nobody elsewhere. A header that
// nobody can read is an error, for it may be what says that there is more.
func following(headers []string, at *url.URL) (*url.URL, error) {
	var next *url.URL
	for _, header := range headers {
		for rest := header; strings.TrimSpace(rest) != ""; {
			m := linkForm.FindStringSubmatch(rest)
			if m == nil {
				return nil, fmt.Errorf("%w: it says with %.128q where there is more, which nobody can read", ErrUnreachable, header)
			}
			rest = rest[len(m[0]):]
			if !forwards(m[2]) {
				continue
			}
			target, err := at.Parse(m[1])
			if err != nil || target.Host != at.Host || target.Path != at.Path || next != nil || target.RawQuery == at.RawQuery {
				return nil, fmt.Errorf("%w: it says that there is more at %.128q, which is no other page of the list", ErrUnreachable, m[1])
			}
			// Only what says which page it is comes from there: what stands in front of a
			// registry may speak TLS without its knowledge.
			page := *at
			page.RawQuery = target.RawQuery
			next = &page
		}
	}
	return next, nil
}

// forwards reports whether a link with these parameters leads to the next page.
func forwards(parameters string) bool {
	m := relationForm.FindStringSubmatch(parameters)
	if m == nil {
		return false
	}
	for _, relation := range strings.Fields(m[1] + m[2]) {
		if strings.EqualFold(relation, "next") {
			return true
		}
	}
	return false
}
