package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	nettext "net/mail"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// peopleHeader names in the mail for whom it is. Their addresses are configuration and
// stand in no evidence.
const peopleHeader = "X-Shipwarden-People"

// maxRecipients bounds to how many addresses one mail goes.
const maxRecipients = 512

// post is the wire of mail: one message to one relay. A mail that is sent twice is shown
// twice, so that it is treated as chats are: nothing is tried again of which nobody can
// tell whether it was taken. Its Message-ID is made from the key all the same, for mail
// stores that look.
type post struct {
	name   string
	relay  *mail.Relay
	from   string
	to     []string
	people map[string]string
}

func newPost(config Config) (wire, error) {
	wrong := func(field string, err error) (wire, error) {
		return nil, fmt.Errorf("channel %s: %s: %w", config.Name, field, err)
	}
	m := config.Mail
	switch {
	case m == nil:
		return wrong("mail", fmt.Errorf("%w: required", ErrMail))
	case len(m.GetTo())+len(m.GetPeople()) == 0:
		return wrong("mail.to", fmt.Errorf("%w: nobody would get it", ErrMail))
	case len(config.Secrets) > 1:
		return wrong("secret_files", fmt.Errorf("%w: %w", ErrSecrets, mail.ErrPassword))
	}
	relay := mail.Config{URL: config.URL, From: m.GetFrom(), Timeout: config.Timeout, Roots: config.Roots}
	if len(config.Secrets) == 1 {
		relay.Password = config.Secrets[0]
	}
	p := &post{name: config.Name, from: m.GetFrom(), to: m.GetTo(), people: m.GetPeople()}
	var err error
	p.relay, err = mail.New(relay)
	switch {
	case errors.Is(err, mail.ErrURLPassword):
		return wrong("url_file", fmt.Errorf("%w: %w", ErrMailURL, err))
	case errors.Is(err, mail.ErrPassword):
		return wrong("secret_files", fmt.Errorf("%w: %w", ErrSecrets, err))
	case errors.Is(err, mail.ErrAddress):
		return wrong("mail.from", fmt.Errorf("%w: %w", ErrMail, err))
	case err != nil:
		return wrong("url_file", err)
	}
	for field, all := range map[string][]string{"mail.to": p.to, "mail.people": slices.Collect(maps.Values(p.people))} {
		for _, each := range all {
			if err := mail.CheckAddress(each); err != nil {
				return wrong(field, fmt.Errorf("%w: %w", ErrMail, err))
			}
		}
	}
	return p, nil
}

func (p *post) remembers() bool { return false }

// body is a mail of one part in plain text. It names nobody's address but the sender's:
// people are named by their ids, and everybody else by the channel.
func (p *post) body(m notify.Message) ([]byte, error) {
	letter := mail.Letter{From: p.from, To: p.name, Key: m.Key, Time: m.Time, Subject: line(m.Subject), Text: plainText(m, asItIs)}
	if people := p.known(m.People); len(people) > 0 {
		letter.Header = [][2]string{{peopleHeader, strings.Join(people, ",\r\n ")}}
	}
	return letter.Bytes()
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
	result, _ := p.relay.Send(ctx, slices.Sorted(maps.Keys(to)), body, nil)
	a := answer{text: result.Text, delivered: result.Delivered, again: result.Again, ambiguous: result.Ambiguous}
	if a.delivered {
		for _, each := range result.Taken {
			a.reached = append(a.reached, to[each]...)
		}
		slices.Sort(a.reached)
	}
	return a
}

// addressees reads from a mail for whom it is.
func addressees(body []byte) ([]string, error) {
	m, err := nettext.ReadMessage(bytes.NewReader(body))
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
