package dial

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// ParseBase reads the URL below which a service is asked: a scheme, a host and a path, and
// nothing that could be a secret or lead elsewhere. It returns the URL without a slash at
// its end, and the address to connect to. An error never repeats the URL, which may hold a
// password.
func ParseBase(text string) (*url.URL, Address, error) {
	base, err := url.Parse(text)
	if err != nil {
		return nil, Address{}, errors.New("not a URL")
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, Address{}, errors.New("scheme must be http or https")
	case base.User != nil:
		return nil, Address{}, errors.New("must not hold a user or password")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "" || base.Opaque != "":
		return nil, Address{}, errors.New("must be a scheme, a host and a path alone")
	case HasDotSegment(base.Path):
		return nil, Address{}, errors.New("must not hold . or .. segments")
	}
	address, err := ParseAddress(WithPort(base))
	if err != nil {
		return nil, Address{}, err
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	base.RawPath = strings.TrimSuffix(base.RawPath, "/")
	return base, address, nil
}

// WithPort returns host and port of a URL, where the port may go without saying.
func WithPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// HasDotSegment tells whether a decoded path leads up or nowhere.
func HasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// Client returns a client that lives for one look and reaches this address alone: without
// proxy, compression, HTTP/2 or connections that are kept. It takes headers of so many
// bytes. Where to redirects may lead is for the caller to say.
func (p Pinned) Client(secure *tls.Config, maxHeader int64) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{Transport: &http.Transport{
		Proxy:                  nil,
		DialContext:            p.DialContext,
		TLSClientConfig:        secure.Clone(),
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              protocols,
	}}
}
