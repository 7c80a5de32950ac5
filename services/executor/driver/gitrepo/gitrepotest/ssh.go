package gitrepotest

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// OverSSH serves the repository over ssh until the test ends, to the holder of the signing key, and
// returns how it is configured.
func (r *Repository) OverSSH(t *testing.T) *configv1.GitRepository {
	t.Helper()
	private, _ := Key(t, t.TempDir(), "host")
	host := signer(t, private)
	allowed := signer(t, r.key).PublicKey()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), allowed.Marshal()) {
			return nil, io.EOF
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.shell(t, conn, config)
		}
	}()
	address := listener.Addr().String()
	known := filepath.Join(r.home, "known_hosts")
	write(t, known, knownhosts.Line([]string{address}, host.PublicKey())+"\n")
	return &configv1.GitRepository{
		Url: "ssh://git@" + address + "/config.git", Branch: Branch, SshKeyFile: r.key, KnownHostsFile: known, SigningKeyFile: r.key,
	}
}

func signer(t *testing.T, path string) ssh.Signer {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// shell runs the two services of Git and nothing else.
func (r *Repository) shell(t *testing.T, conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	go ssh.DiscardRequests(requests)
	for next := range channels {
		channel, requests, err := next.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			var asked struct{ Command string }
			if request.Type != "exec" || ssh.Unmarshal(request.Payload, &asked) != nil {
				_ = request.Reply(false, nil)
				continue
			}
			_ = request.Reply(true, nil)
			code := uint32(0)
			if err := r.serve(t, asked.Command, channel); err != nil {
				code = 128
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
			_ = channel.Close()
		}
	}
}

func (r *Repository) serve(t *testing.T, command string, channel ssh.Channel) error {
	service, folder := "", r.Folder
	switch command {
	case "git-upload-pack '/config.git'":
		service = "upload-pack"
	case "git-receive-pack '/config.git'":
		service = "receive-pack"
	default:
		_, _ = io.WriteString(channel.Stderr(), "ERROR: Repository not found.\n")
		return os.ErrNotExist
	}
	cmd := r.command(t, nil, folder, service, folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, channel)
		_ = in.Close()
	}()
	return cmd.Wait()
}
