package gitrepo

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/blackdice/shipwarden/internal/outward"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 30 * time.Second
	maxHeader     = 64 << 10
)

// overHTTPS has conversations over https.
type overHTTPS struct {
	base           string
	user, password string // the password is the path of its file
	client         *http.Client
}

// overHTTP is how a server is reached over https, and over http on this machine.
func overHTTP(u *url.URL, c *configv1.GitRepository) (wire, error) {
	h := &overHTTPS{base: u.String(), user: c.GetUser(), password: c.GetPasswordFile()}
	if h.user == "" {
		h.user = defaultUser
	}
	var wrong []error
	if c.GetPasswordFile() != "" {
		if _, err := secret(c.GetPasswordFile()); there(err) {
			wrong = append(wrong, fmt.Errorf("password_file: %w", err))
		}
	} else if c.GetUser() != "" {
		wrong = append(wrong, fmt.Errorf("password_file: %w: required beside user", ErrInvalid))
	}
	config, err := service.ClientTLS(c.GetTls())
	if err != nil {
		wrong = append(wrong, fmt.Errorf("tls: %w", err))
	}
	if config == nil {
		config = &tls.Config{}
	}
	config.MinVersion = tls.VersionTLS12 // Not everybody's server has the next one.
	h.client = &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: outward.DialContext(dialTimeout), TLSClientConfig: config, MaxResponseHeaderBytes: maxHeader,
			ResponseHeaderTimeout: answerTimeout, TLSHandshakeTimeout: answerTimeout, IdleConnTimeout: answerTimeout, DisableCompression: true,
		},
		// A password goes to nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h, errors.Join(wrong...)
}

func (h *overHTTPS) close() { h.client.CloseIdleConnections() }

func (h *overHTTPS) talk(ctx context.Context, name string, limit int64, ask func(*packp.AdvRefs) ([]byte, error)) ([]byte, bool, error) {
	refs, err := h.refs(ctx, name)
	if err != nil {
		return nil, false, err
	}
	request, err := ask(refs)
	if err != nil || request == nil {
		return nil, false, err
	}
	body, err := h.do(ctx, http.MethodPost, "/"+name, "application/x-"+name+"-request", "application/x-"+name+"-result", request)
	if errors.Is(err, errElse) && name == receivePack {
		// Somebody in between has answered: the server may have taken it.
		err = fmt.Errorf("%w: something else than a server of Git has answered", ErrUnavailable)
	}
	if err != nil {
		return nil, !errors.Is(err, ErrRefused), err
	}
	defer func() { _ = body.Close() }()
	answer, err := whole(body, limit)
	return answer, true, err
}

func (h *overHTTPS) refs(ctx context.Context, name string) (*packp.AdvRefs, error) {
	body, err := h.do(ctx, http.MethodGet, "/info/refs?service="+name, "", "application/x-"+name+"-advertisement", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	refs, err := advertised(body)
	// To the end, so that the connection is used again.
	_, _ = io.CopyN(io.Discard, body, maxHeader)
	return refs, err
}

// do makes one request, with the password as it is now.
func (h *overHTTPS) do(ctx context.Context, method, at, sends, wants string, content []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, h.base+at, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%w: the address cannot be asked", ErrRefused)
	}
	request.Header.Set("User-Agent", "git/2 "+agent) // Some servers answer to nothing else.
	request.Header.Set("Accept", wants)
	if sends != "" {
		request.Header.Set("Content-Type", sends)
	}
	// A push is sent once: whether it may be sent again, the caller finds out.
	request.GetBody = nil
	if h.password != "" {
		password, err := secret(h.password)
		if err != nil {
			return nil, fmt.Errorf("%w: password_file: %w", ErrRefused, err)
		}
		request.SetBasicAuth(h.user, password)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return nil, unavailable(err)
	}
	if err := status(response, wants); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response.Body, nil
}

// errElse says that an answer is none of a server of Git.
var errElse = fmt.Errorf("%w: it answers something else than a server of Git does", ErrRefused)

// status judges how a server answers.
func status(r *http.Response, wants string) error {
	switch {
	case r.StatusCode == http.StatusOK && r.Header.Get("Content-Type") == wants:
		return nil
	case r.StatusCode == http.StatusOK:
		return errElse
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: it does not take the user and the password, or gives them no right (%d)", ErrRefused, r.StatusCode)
	case r.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: there is no such repository, or no right to see it (%d)", ErrRefused, r.StatusCode)
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return fmt.Errorf("%w: it leads to another address, which is not followed (%d): configure where it is", ErrRefused, r.StatusCode)
	case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("%w: status %d", ErrUnavailable, r.StatusCode)
	}
	return fmt.Errorf("%w: status %d", ErrRefused, r.StatusCode)
}

// whole reads an answer to its end.
func whole(in io.Reader, limit int64) ([]byte, error) {
	answer, err := io.ReadAll(&bounded{Reader: in, left: limit})
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("%w: an answer has more than %d bytes", ErrTooLarge, limit)
	case err != nil:
		return nil, unavailable(err)
	}
	return answer, nil
}
