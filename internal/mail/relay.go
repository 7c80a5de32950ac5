package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/smtp"
	"net/textproto"
	"net/url"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/outward"
)

// defaultTimeout bounds one attempt, where nothing else is said.
const defaultTimeout = 10 * time.Second

// closing is the answer of a relay that ends the conversation, whatever was said.
const closing = 421

// maxDialog bounds what is read from a relay, in bytes: one that never stops talking
// must not fill the memory.
const maxDialog = 1 << 20

var (
	errNoTLS   = errors.New("no TLS")
	errTalking = errors.New("the relay says too much")
)

// Config says which relay takes the mail.
type Config struct {
	// URL is smtps://user@host:port or smtp://user@host:port, a secret.
	URL string
	// Password is that of the user, a secret. Empty without one.
	Password string
	// From is the sender's address.
	From string
	// Timeout is how long one attempt may take. Zero: 10 s.
	Timeout time.Duration
	// Roots are the certificates that the relay's must be signed by. Nil: those of the
	// system.
	Roots *x509.CertPool
}

// Relay takes mail. It is safe for concurrent use.
type Relay struct {
	address  string // host:port
	host     string
	user     string
	password string // a secret
	implicit bool   // TLS from the first byte
	bare     bool   // the relay is on this machine, and there is no password: TLS is not needed
	from     string
	timeout  time.Duration
	roots    *x509.CertPool
}

// New returns a relay; it reaches nobody. An error wraps one of the sentinels and never
// holds the URL or the password.
func New(config Config) (*Relay, error) {
	address, err := url.Parse(config.URL)
	if err != nil || (address.Scheme != "smtp" && address.Scheme != "smtps") || address.Hostname() == "" || address.Port() == "" ||
		(address.Path != "" && address.Path != "/") || address.RawQuery != "" {
		return nil, ErrURL
	}
	if _, has := address.User.Password(); has {
		return nil, ErrURLPassword
	}
	if (address.User.Username() != "") != (config.Password != "") {
		return nil, ErrPassword
	}
	if err := CheckAddress(config.From); err != nil {
		return nil, err
	}
	r := &Relay{
		address: address.Host, host: address.Hostname(), user: address.User.Username(), password: config.Password,
		implicit: address.Scheme == "smtps", from: config.From, timeout: cmp.Or(config.Timeout, defaultTimeout), roots: config.Roots,
	}
	ip := net.ParseIP(r.host)
	r.bare = r.password == "" && ip != nil && ip.IsLoopback()
	return r, nil
}

// String names no address and no secret.
func (r *Relay) String() string { return "mail relay" }

// GoString is String.
func (r *Relay) GoString() string { return r.String() }

// LogValue is String.
func (r *Relay) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Timeout is how long one attempt may take.
func (r *Relay) Timeout() time.Duration { return r.timeout }

// Result is what became of one attempt.
type Result struct {
	// Text says it in words of our own; nothing in it comes from outside.
	Text string
	// Delivered says that the relay took the mail, for the addresses in Taken. Of all that
	// it was for, Refused is how many it takes none for.
	Delivered bool
	Taken     []string
	Refused   int
	// Later are those that it may take later; what was delivered is not for them.
	Later []string
	// Again says that it may go better the next time.
	Again bool
	// Ambiguous says that nobody can tell whether it arrived.
	Ambiguous bool
	// Down says that it failed by the relay and not by this mail: it was not reached, took no
	// login or no sender, or the conversation ended.
	Down bool
}

// Send hands a mail to the relay once, for every address that the relay takes; they must be
// in order and once each. An address that the relay refuses for good costs the others
// nothing; one that it may take later has all of it tried again, before it took any.
//
// Where before is given, it is called when the relay would take the mail, before it gets a
// byte of it; its error ends the attempt and is returned. Any other end is in the result.
func (r *Relay) Send(ctx context.Context, to []string, letter []byte, before func() error) (Result, error) {
	return r.send(ctx, to, letter, before, false)
}

// SendPart is Send, except that an address that the relay may take later costs the others
// nothing: it is one of Later in the result.
func (r *Relay) SendPart(ctx context.Context, to []string, letter []byte, before func() error) (Result, error) {
	return r.send(ctx, to, letter, before, true)
}

func (r *Relay) send(ctx context.Context, to []string, letter []byte, before func() error, part bool) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	client, err := r.connect(ctx)
	if err != nil {
		return down(err), nil
	}
	// What is taken is taken when the dot is answered; a bad farewell changes nothing.
	defer func() { _ = client.Close() }()
	return r.hand(client, to, letter, before, part)
}

// bounded is a connection from which no more than so much is read.
type bounded struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTalking
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// connect speaks TLS, and says who writes.
func (r *Relay) connect(ctx context.Context) (*smtp.Client, error) {
	conn, err := outward.DialContext(0)(ctx, "tcp", r.address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.host, RootCAs: r.roots}
	if r.implicit {
		conn = tls.Client(conn, secure)
	}
	client, err := smtp.NewClient(&bounded{conn, maxDialog}, r.host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := r.introduce(client, secure); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

func (r *Relay) introduce(client *smtp.Client, secure *tls.Config) error {
	if err := client.Hello("shipwarden.invalid"); err != nil {
		return err
	}
	if !r.implicit {
		if offered, _ := client.Extension("STARTTLS"); offered {
			if err := client.StartTLS(secure); err != nil {
				return err
			}
		} else if !r.bare {
			return errNoTLS
		}
	}
	if r.password == "" {
		return nil
	}
	return client.Auth(smtp.PlainAuth("", r.user, r.password, r.host))
}

func (r *Relay) hand(client *smtp.Client, to []string, letter []byte, before func() error, part bool) (Result, error) {
	if err := client.Mail(r.from); err != nil {
		return down(err), nil
	}
	var out Result
	for _, each := range to {
		err := client.Rcpt(each)
		switch f := refusal(err, false); {
		case err == nil:
			out.Taken = append(out.Taken, each)
		case f.Down || f.Again && !part:
			return f, nil
		case f.Again:
			out.Later = append(out.Later, each)
		default:
			out.Refused++
		}
	}
	if len(out.Taken) == 0 {
		out.Text, out.Again = fmt.Sprintf("the relay takes mail for none of %d addresses", len(to)), len(out.Later) > 0
		return out, nil
	}
	if before != nil {
		if err := before(); err != nil {
			return Result{Text: "interrupted"}, err
		}
	}
	w, err := client.Data()
	if err != nil {
		return refusal(err, false), nil
	}
	if _, err := w.Write(letter); err != nil {
		return refusal(err, false), nil // Without the dot it is no mail.
	}
	if err := w.Close(); err != nil {
		return refusal(err, true), nil
	}
	_ = client.Quit()
	out.Delivered = true
	slices.Sort(out.Taken)
	out.Text = fmt.Sprintf("taken by the relay for %d of %d addresses", len(out.Taken), len(to))
	return out, nil
}

// refusal says in words of our own why a mail was not taken.
func refusal(err error, dotted bool) Result {
	var reply *textproto.Error
	switch {
	case err == nil:
		return Result{}
	case errors.Is(err, errNoTLS):
		return Result{Text: "the relay offers no TLS"}
	case errors.As(err, &reply):
		return Result{Text: fmt.Sprintf("the relay answered %d", reply.Code), Again: reply.Code >= 400 && reply.Code < 500, Down: reply.Code == closing}
	}
	why := outward.Why(err, dotted)
	return Result{Text: why.Text, Again: why.Again, Ambiguous: why.Ambiguous, Down: true}
}

// down is the refusal of a relay that took no mail of anybody.
func down(err error) Result {
	r := refusal(err, false)
	r.Down = true
	return r
}
