package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// The two services of a server of Git.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

const (
	// maxRefs bounds what a server says of its branches, in bytes, and maxReport what it says of
	// a push.
	maxRefs   = 32 << 20
	maxReport = 1 << 20
	// maxWords bounds the words of a server that are repeated.
	maxWords = 300
	agent    = "shipwarden"
)

// wire has conversations with a server.
type wire interface {
	// talk asks a service what there is, and then for something. Where ask returns nothing, the
	// conversation is over. sent says that the request, or a part of it, is on its way. Errors
	// wrap ErrUnavailable, ErrRefused or ErrTooLarge, or are those of ask; the answer has limit
	// bytes at most.
	talk(ctx context.Context, service string, limit int64, ask func(*packp.AdvRefs) ([]byte, error)) (answer []byte, sent bool, err error)
	close()
}

// wireOf is how a server is reached. The error names every field at fault.
func wireOf(u *url.URL, c *configv1.GitRepository) (wire, error) {
	var wrong []error
	not := func(value, field, with string) {
		if value != "" {
			wrong = append(wrong, fmt.Errorf("%s: %w: is for %s, and url is another one", field, ErrInvalid, with))
		}
	}
	if u.Scheme == "ssh" {
		not(c.GetUser(), "user", "https")
		not(c.GetPasswordFile(), "password_file", "https")
		if c.GetTls() != nil {
			not("tls", "tls", "https")
		}
		w, err := overSSH(u, c)
		return w, errors.Join(errors.Join(wrong...), err)
	}
	not(c.GetSshKeyFile(), "ssh_key_file", "ssh")
	not(c.GetKnownHostsFile(), "known_hosts_file", "ssh")
	w, err := overHTTP(u, c)
	return w, errors.Join(errors.Join(wrong...), err)
}

// bounded reads no more than it may.
type bounded struct {
	io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, ErrTooLarge
	}
	return n, err
}

// advertised reads what a service says that there is.
func advertised(in io.Reader) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(&bounded{Reader: in, left: maxRefs})
	var said *pktline.ErrorLine
	var unexpected *packp.ErrUnexpectedData
	switch {
	case err == nil:
		if values := refs.Capabilities.Get("object-format"); len(values) > 0 && values[0] != "sha1" {
			return nil, fmt.Errorf("%w: its objects have another hash than SHA-1", ErrRefused)
		}
		return refs, nil
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return packp.NewAdvRefs(), nil // It has no branch at all.
	case errors.As(err, &said):
		return nil, fmt.Errorf("%w: %s", ErrRefused, words(said.Text))
	case errors.As(err, &unexpected), errors.Is(err, pktline.ErrInvalidPktLen):
		return nil, fmt.Errorf("%w: it does not speak as a server of Git does, or its objects have another hash than SHA-1", ErrRefused)
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("%w: it has more branches and tags than fit into %d bytes", ErrTooLarge, maxRefs)
	}
	return nil, unavailable(err)
}

// unavailable says why nobody answered, without addresses.
func unavailable(err error) error {
	if errors.Is(err, outward.ErrForbidden) {
		return fmt.Errorf("%w: %s", ErrRefused, outward.Why(err, false).Text)
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, outward.Why(err, false).Text)
}

// words are what a server says, on one line.
func words(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return fmt.Sprintf("it says %q", text)
}
