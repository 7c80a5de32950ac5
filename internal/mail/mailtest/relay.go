// Package mailtest gives tests a mail relay of another make (emersion/go-smtp) that says what
// it is told to, and a mail server as people run it (chasquid, tools/relay), each on sockets of
// this machine.
package mailtest

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// User is who may send, with the password that a relay was started with.
const User = "ship"

// Mail is one that a relay took.
type Mail struct {
	To   []string
	Body string
	User string
}

// Relay is a mail server. From, Rcpt and Data are set before it is called.
type Relay struct {
	// Address is host:port, and Roots its certificate.
	Address string
	Roots   *x509.CertPool
	// From says what it answers to a sender; nil takes all of them.
	From func(from string) error
	// Rcpt says what it answers to an address; nil takes all of them.
	Rcpt func(to string) error
	// Data says what it answers to a mail, the last answer again and again.
	Data []error
	// Cut has it hang up where it should answer the dot.
	Cut bool

	password string
	mu       sync.Mutex
	tries    int
	mails    []Mail
}

// Mails are those that it took, in order.
func (r *Relay) Mails() []Mail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mails)
}

// Set changes how it answers while it runs.
func (r *Relay) Set(change func(*Relay)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

type session struct {
	r    *Relay
	conn *smtp.Conn
	now  Mail
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != User || password != s.r.password {
			return smtp.ErrAuthFailed
		}
		s.now.User = user
		return nil
	}), nil
}
func (s *session) Reset()        { s.now = Mail{User: s.now.User} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(sender string, _ *smtp.MailOptions) error {
	s.r.mu.Lock()
	from := s.r.From
	s.r.mu.Unlock()
	if from == nil {
		return nil
	}
	return from(sender)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.r.mu.Lock()
	rcpt := s.r.Rcpt
	s.r.mu.Unlock()
	if rcpt != nil {
		if err := rcpt(to); err != nil {
			return err
		}
	}
	s.now.To = append(s.now.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.tries++
	if len(s.r.Data) > 0 {
		if err := s.r.Data[min(s.r.tries, len(s.r.Data))-1]; err != nil {
			return err
		}
	}
	s.now.Body = string(body)
	s.r.mails = append(s.r.mails, s.now)
	if s.r.Cut {
		_ = s.conn.Conn().Close()
	}
	return nil
}

// Start starts a relay until the test's end: with TLS at once ("smtps"), with STARTTLS
// ("starttls"), or with none ("").
func Start(t testing.TB, secure, password string) *Relay {
	t.Helper()
	r := &Relay{Roots: x509.NewCertPool(), password: password}
	certified := httptest.NewUnstartedServer(nil) // for its certificate of 127.0.0.1
	certified.StartTLS()
	t.Cleanup(certified.Close)
	r.Roots.AddCert(certified.Certificate())
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{r: r, conn: c}, nil }))
	server.Domain, server.ErrorLog = "relay.example", slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	config := &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Address = listener.Addr().String()
	switch secure {
	case "smtps":
		listener = tls.NewListener(listener, config)
	case "starttls":
		server.TLSConfig = config
	}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // Of a server that had not begun to listen it does not know.
		done.Wait()
	})
	return r
}
