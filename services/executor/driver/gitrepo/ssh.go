package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// overShell has conversations over ssh. No shell is run: the server is asked for a service by
// the words that every server of Git knows.
type overShell struct {
	address, user, path string
	key, hosts          string // the paths of their files
}

func overSSH(u *url.URL, c *configv1.GitRepository) (wire, error) {
	port := u.Port()
	if port == "" {
		port = "22"
	}
	s := &overShell{
		address: net.JoinHostPort(u.Hostname(), port), user: u.User.Username(), path: u.Path, key: c.GetSshKeyFile(), hosts: c.GetKnownHostsFile(),
	}
	var wrong []error
	if s.key == "" {
		wrong = append(wrong, fmt.Errorf("ssh_key_file: %w: required over ssh", ErrInvalid))
	} else if _, err := readKey(s.key); there(err) {
		wrong = append(wrong, fmt.Errorf("ssh_key_file: %w", err))
	}
	if s.hosts == "" {
		wrong = append(wrong, fmt.Errorf("known_hosts_file: %w: required over ssh: without it anybody could be the server", ErrInvalid))
	} else if _, err := s.known(); there(err) {
		wrong = append(wrong, fmt.Errorf("known_hosts_file: %w", err))
	}
	return s, errors.Join(wrong...)
}

func (s *overShell) close() {}

// known reads the keys that the server may have.
func (s *overShell) known() (*knownhosts.HostKeyDB, error) {
	db, err := knownhosts.NewDB(s.hosts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(db.HostKeys(s.address)) == 0 {
		return nil, fmt.Errorf("%w: %s has no key of %s", ErrInvalid, s.hosts, s.address)
	}
	return db, nil
}

// client reads the files, and makes what a connection is made with.
func (s *overShell) client() (*ssh.ClientConfig, error) {
	key, err := readKey(s.key)
	if err != nil {
		return nil, fmt.Errorf("%w: ssh_key_file: %w", ErrRefused, err)
	}
	db, err := s.known()
	if err != nil {
		return nil, fmt.Errorf("%w: known_hosts_file: %w", ErrRefused, err)
	}
	return &ssh.ClientConfig{
		User: s.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: dialTimeout, ClientVersion: "SSH-2.0-" + agent,
		HostKeyCallback: db.HostKeyCallback(), HostKeyAlgorithms: db.HostKeyAlgorithms(s.address),
	}, nil
}

// connect makes a connection, which ends with ctx.
func (s *overShell) connect(ctx context.Context) (*ssh.Client, func(), error) {
	config, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	conn, err := outward.DialContext(dialTimeout)(ctx, "tcp", s.address)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() {
		stop()
		_ = conn.Close()
	}
	var stranger error
	check := config.HostKeyCallback
	config.HostKeyCallback = func(host string, remote net.Addr, key ssh.PublicKey) error {
		stranger = check(host, remote, key)
		return stranger
	}
	c, channels, requests, err := ssh.NewClientConn(conn, s.address, config)
	switch {
	case err == nil:
		return ssh.NewClient(c, channels, requests), end, nil
	case stranger != nil:
		err = fmt.Errorf("%w: its key is none of those in known_hosts_file", ErrRefused)
	case ctx.Err() != nil:
		err = unavailable(context.Cause(ctx))
	case strings.Contains(err.Error(), "unable to authenticate"):
		err = fmt.Errorf("%w: it does not take the user and the key", ErrRefused)
	default:
		err = unavailable(err)
	}
	end()
	return nil, nil, err
}

func (s *overShell) talk(ctx context.Context, name string, limit int64, ask func(*packp.AdvRefs) ([]byte, error)) ([]byte, bool, error) {
	client, end, err := s.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	defer end()
	session, err := client.NewSession()
	if err != nil {
		return nil, false, unavailable(err)
	}
	complaint := &head{}
	session.Stderr = complaint
	out, errOut := session.StdinPipe()
	in, errIn := session.StdoutPipe()
	// The path has nothing that has to be quoted.
	if err := errors.Join(errOut, errIn, session.Start(name+" '"+s.path+"'")); err != nil {
		return nil, false, unavailable(err)
	}
	refs, err := advertised(in)
	if err != nil {
		return nil, false, complained(session, complaint, err)
	}
	request, err := ask(refs)
	if err != nil || request == nil {
		_, _ = io.WriteString(out, "0000")
		return nil, false, err
	}
	if _, err := out.Write(request); err != nil {
		return nil, true, unavailable(err)
	}
	if err := out.Close(); err != nil && !errors.Is(err, io.EOF) {
		return nil, true, unavailable(err)
	}
	answer, err := whole(in, limit)
	return answer, true, err
}

// complained is an error with what the server said beside the conversation: that there is no
// such repository, for instance.
func complained(session *ssh.Session, complaint *head, err error) error {
	var exit *ssh.ExitError
	if !errors.Is(err, ErrUnavailable) || !errors.As(session.Wait(), &exit) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrRefused, words(complaint.text.String()))
}

// head keeps the beginning of what is written.
type head struct{ text bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.text.Write(p[:min(len(p), max(0, 4*maxWords-h.text.Len()))])
	return len(p), nil
}
