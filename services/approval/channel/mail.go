package channel

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/services/approval/notify"
)

// peopleHeader names in the mail for whom it is. Their addresses are configuration and
// stand in no evidence.
const peopleHeader = "X-Shipwarden-People"

// maxRecipients bounds to how many addresses one mail goes.
const maxRecipients = 512

// post is the wire of mail: one message to one relay (RFC 5321), over TLS. A mail that
// is sent twice is shown twice, so that it is treated as chats are: nothing is tried
// again of which nobody can tell whether it was taken. Its Message-ID is made from the
// key all the same, for mail stores that look.
type post struct {
	name     string
	address  string // host:port
	host     string
	user     string
	password string // a secret
	implicit bool   // TLS from the first byte
	bare     bool   // the relay is on this machine, and there is no password: TLS is not needed
	from     string
	to       []string
	people   map[string]string
	timeout  time.Duration
	roots    *x509.CertPool
	now      func() time.Time
}

func newPost(config Config, now func() time.Time) (wire, error) {
	wrong := func(field string, err error) (wire, error) {
		return nil, fmt.Errorf("channel %s: %s: %w", config.Name, field, err)
	}
	address, err := url.Parse(config.URL)
	if err != nil || (address.Scheme != "smtp" && address.Scheme != "smtps") || address.Hostname() == "" || address.Port() == "" ||
		(address.Path != "" && address.Path != "/") || address.RawQuery != "" {
		return wrong("url_file", ErrMailURL)
	}
	if _, has := address.User.Password(); has {
		return wrong("url_file", fmt.Errorf("%w: the password is in a secret file, not in it", ErrMailURL))
	}
	m := config.Mail
	switch {
	case m == nil:
		return wrong("mail", fmt.Errorf("%w: required", ErrMail))
	case len(m.GetTo())+len(m.GetPeople()) == 0:
		return wrong("mail.to", fmt.Errorf("%w: nobody would get it", ErrMail))
	case (address.User.Username() != "") != (len(config.Secrets) == 1):
		return wrong("secret_files", fmt.Errorf("%w: one password with a user, and none without", ErrSecrets))
	}
	p := &post{
		name: config.Name, address: address.Host, host: address.Hostname(), user: address.User.Username(), implicit: address.Scheme == "smtps",
		from: m.GetFrom(), to: m.GetTo(), people: m.GetPeople(), timeout: config.Timeout, roots: config.Roots, now: now,
	}
	if len(config.Secrets) == 1 {
		p.password = config.Secrets[0]
	}
	ip := net.ParseIP(p.host)
	p.bare = p.password == "" && ip != nil && ip.IsLoopback()
	for field, all := range map[string][]string{"mail.from": {p.from}, "mail.to": p.to, "mail.people": slices.Collect(maps.Values(p.people))} {
		for _, each := range all {
			if parsed, err := mail.ParseAddress(each); err != nil || parsed.Address != each || strings.ContainsAny(each, "\r\n<>") {
				return wrong(field, fmt.Errorf("%w: an address is local@domain and nothing else", ErrMail))
			}
		}
	}
	return p, nil
}

func (p *post) remembers() bool { return false }

// body is a mail of one part in plain text. Whatever a request holds stays in the words
// of one line: subjects are encoded, and nothing else of it is in the header. It names
// nobody's address but the sender's: people are named by their ids, and everybody else by
// the channel.
func (p *post) body(m notify.Message) ([]byte, error) {
	var out bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&out, "%s: %s\r\n", name, value) }
	sum := sha256.Sum256([]byte(m.Key))
	head("From", "Shipwarden <"+p.from+">")
	head("To", p.name+":;")
	head("Date", m.Time.UTC().Format(time.RFC1123Z))
	head("Message-ID", "<"+hex.EncodeToString(sum[:16])+"@shipwarden.invalid>")
	head("Subject", mime.QEncoding.Encode("utf-8", line(m.Subject)))
	if people := p.known(m.People); len(people) > 0 {
		head(peopleHeader, strings.Join(people, ",\r\n "))
	}
	head("Auto-Submitted", "auto-generated") // RFC 3834: no machine answers it.
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	out.WriteString("\r\n")
	text := quotedprintable.NewWriter(&out)
	if _, err := text.Write([]byte(strings.ReplaceAll(plainText(m, asItIs), "\n", "\r\n") + "\r\n")); err != nil {
		return nil, err
	}
	if err := text.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// known returns those of the people who have an address here, in order and once.
func (p *post) known(people []string) []string {
	var out []string
	for _, id := range people {
		if p.people[id] != "" && !slices.Contains(out, id) && len(out) < maxRecipients {
			out = append(out, id)
		}
	}
	return out
}
