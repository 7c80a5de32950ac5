package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/outward"
)

// maxDialog bounds what is read from a relay, in bytes: one that never stops talking
// must not fill the memory.
const maxDialog = 1 << 20

var (
	errNoTLS   = errors.New("no TLS")
	errTalking = errors.New("the relay says too much")
)

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

// attempt hands the mail to the relay, for every address that the relay takes.
func (p *post) attempt(ctx context.Context, _ string, body []byte) answer {
	people, err := addressees(body)
	if err != nil {
		return answer{text: "the mail cannot be read"}
	}
	to := map[string][]string{} // ids by address; the fixed ones have none
	for _, each := range p.to {
		to[each] = nil
	}
	for _, id := range people {
		if each := p.people[id]; each != "" {
			to[each] = append(to[each], id)
		}
	}
	if len(to) == 0 {
		return answer{text: "none of the people it is for has an address here"}
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	client, err := p.connect(ctx)
	if err != nil {
		return refusal(err, false)
	}
	// What is taken is taken when the dot is answered; a bad farewell changes nothing.
	defer func() { _ = client.Close() }()
	return p.hand(client, to, body)
}

// connect speaks TLS, and says who writes.
func (p *post) connect(ctx context.Context) (*smtp.Client, error) {
	conn, err := outward.DialContext(0)(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: p.host, RootCAs: p.roots}
	if p.implicit {
		conn = tls.Client(conn, secure)
	}
	client, err := smtp.NewClient(&bounded{conn, maxDialog}, p.host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := p.introduce(client, secure); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

func (p *post) introduce(client *smtp.Client, secure *tls.Config) error {
	if err := client.Hello("shipwarden.invalid"); err != nil {
		return err
	}
	if !p.implicit {
		if offered, _ := client.Extension("STARTTLS"); offered {
			if err := client.StartTLS(secure); err != nil {
				return err
			}
		} else if !p.bare {
			return errNoTLS
		}
	}
	if p.password == "" {
		return nil
	}
	return client.Auth(smtp.PlainAuth("", p.user, p.password, p.host))
}

// hand gives the mail to the relay. An address that the relay refuses for good costs the
// others nothing; one that it may take later has all of it tried again, before it took any.
func (p *post) hand(client *smtp.Client, to map[string][]string, body []byte) answer {
	if err := client.Mail(p.from); err != nil {
		return refusal(err, false)
	}
	var reached []string
	taken, refused := 0, 0
	for _, each := range slices.Sorted(maps.Keys(to)) {
		err := client.Rcpt(each)
		if a := refusal(err, false); err != nil && (a.again || !spoken(err)) {
			return a
		}
		if err != nil {
			refused++
			continue
		}
		taken++
		reached = append(reached, to[each]...)
	}
	if taken == 0 {
		return answer{text: fmt.Sprintf("the relay takes mail for none of %d addresses", refused)}
	}
	w, err := client.Data()
	if err != nil {
		return refusal(err, false)
	}
	if _, err := w.Write(body); err != nil {
		return refusal(err, false) // Without the dot it is no mail.
	}
	if err := w.Close(); err != nil {
		return refusal(err, true)
	}
	_ = client.Quit()
	slices.Sort(reached)
	return answer{text: fmt.Sprintf("taken by the relay for %d of %d addresses", taken, taken+refused), delivered: true, reached: reached}
}

// refusal says in words of our own why a mail was not taken: what a relay says may hold
// addresses, and what it was told.
func refusal(err error, dotted bool) answer {
	var reply *textproto.Error
	switch {
	case err == nil:
		return answer{}
	case errors.Is(err, errNoTLS):
		return answer{text: "the relay offers no TLS"}
	case errors.As(err, &reply):
		return answer{text: fmt.Sprintf("the relay answered %d", reply.Code), again: reply.Code >= 400 && reply.Code < 500}
	}
	return failure(err, dotted)
}

// spoken says that an error is an answer of the relay.
func spoken(err error) bool {
	var reply *textproto.Error
	return errors.As(err, &reply)
}

// addressees reads from a mail for whom it is.
func addressees(body []byte) ([]string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, id := range strings.Split(m.Header.Get(peopleHeader), ",") {
		if id = strings.TrimSpace(id); id != "" {
			out = append(out, id)
		}
	}
	return out, nil
}
