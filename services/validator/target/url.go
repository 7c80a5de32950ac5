package target

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

// maxRedirects is how often a target may send us on.
const maxRedirects = 3

// errRedirect is what a refused redirect ends with.
var errRedirect = errors.New("redirect refused")

// URL returns the address of a path below the base URL; the path may carry a query.
// It refuses with ErrPath whatever could be read as another host, another scheme or a
// way out of the base: //host, schemes, backslashes, dot segments however written,
// fragments and control characters.
func (t *Target) URL(path string) (*url.URL, error) {
	if t.base == nil {
		return nil, fmt.Errorf("%w: %q has no base_url", ErrConfig, t.id)
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return nil, fmt.Errorf("%w: %q does not begin with a slash", ErrPath, path)
	case strings.HasPrefix(path, "//"):
		return nil, fmt.Errorf("%w: %q begins with two slashes", ErrPath, path)
	case strings.ContainsFunc(path, isUnsafe):
		return nil, fmt.Errorf("%w: %q holds a character that does not belong there", ErrPath, path)
	}
	below, err := url.ParseRequestURI(path)
	if err != nil || below.Scheme != "" || below.Host != "" || below.User != nil || below.Opaque != "" {
		return nil, fmt.Errorf("%w: %q", ErrPath, path)
	}
	if strings.HasPrefix(below.Path, "//") || strings.ContainsFunc(below.Path, isUnsafe) || dial.HasDotSegment(below.Path) {
		return nil, fmt.Errorf("%w: %q", ErrPath, path)
	}
	u := *t.base
	u.Path = t.base.Path + below.Path
	u.RawPath = t.base.EscapedPath() + below.EscapedPath()
	u.RawQuery = below.RawQuery
	return &u, nil
}

// isUnsafe tells whether parsers of URLs may disagree about a character: spaces,
// control characters, backslashes, and what is not ASCII and so not escaped.
func isUnsafe(r rune) bool {
	return r <= ' ' || r == '\\' || r == '#' || r >= 0x7f
}

// sameOrigin is the redirect policy of one look: on the same scheme, host and port,
// three times at most. It looks at the URL; that no other address is connected to is
// the dialer's business.
func sameOrigin(scheme string, address dial.Address) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
		case next.URL.Scheme != scheme:
			return fmt.Errorf("%w: to scheme %q", errRedirect, next.URL.Scheme)
		case next.URL.User != nil:
			return fmt.Errorf("%w: to a URL with a user", errRedirect)
		case !address.Equal(dial.WithPort(next.URL)):
			return fmt.Errorf("%w: to another host or port, %q", errRedirect, next.URL.Host)
		}
		return nil
	}
}
