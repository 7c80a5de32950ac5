package channel

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// kind is what one kind of HTTP receivers is spoken to by.
type kind struct {
	// remembers says that the receiver knows keys.
	remembers bool
	// alarms says that the receiver keeps what it was told open until it is settled.
	alarms bool
	// secrets is how many secrets it needs, at the least and at the most.
	secrets [2]int
	// write makes the body of a message.
	write func(m notify.Message) ([]byte, error)
	// dress returns what makes a request of a body; nil adds nothing to it.
	dress func(secrets []string) (dress, error)
}

// dress completes the requests for a body, where nobody reads along any more: it adds
// secrets. There may be several requests, which the receiver takes one by one.
type dress func(now time.Time, key string, base *url.URL, body []byte) ([]outgoing, error)

// outgoing is one request.
type outgoing struct {
	url    string
	body   []byte
	header http.Header
}

// kinds are the receivers that are spoken to by HTTP.
var kinds = map[configv1.ChannelAddress_Kind]kind{
	configv1.ChannelAddress_KIND_WEBHOOK:          {remembers: true, write: webhookBody},
	configv1.ChannelAddress_KIND_SLACK:            {write: slackBody},
	configv1.ChannelAddress_KIND_STANDARD_WEBHOOK: {remembers: true, secrets: [2]int{1, 4}, write: standardBody, dress: signing},
	configv1.ChannelAddress_KIND_PAGERDUTY:        {remembers: true, alarms: true, secrets: [2]int{1, 1}, write: pagerDutyBody, dress: routing},
	configv1.ChannelAddress_KIND_ALERTMANAGER:     {remembers: true, alarms: true, write: alertmanagerBody, dress: alerting},
	configv1.ChannelAddress_KIND_TEAMS:            {write: teamsBody},
	configv1.ChannelAddress_KIND_DISCORD:          {write: discordBody},
	configv1.ChannelAddress_KIND_GOOGLE_CHAT:      {write: googleChatBody},
	configv1.ChannelAddress_KIND_NTFY:             {secrets: [2]int{0, 1}, write: ntfyBody, dress: publishing},
}

func newWire(config Config, now func() time.Time) (wire, error) {
	if config.Kind == configv1.ChannelAddress_KIND_MAIL {
		return newPost(config)
	}
	k, ok := kinds[config.Kind]
	switch {
	case !ok:
		return nil, fmt.Errorf("channel %s: kind: %w", config.Name, ErrKind)
	case len(config.Secrets) < k.secrets[0] || len(config.Secrets) > k.secrets[1]:
		return nil, fmt.Errorf("channel %s: secret_files: %w: %d, and the kind takes %d to %d", config.Name, ErrSecrets, len(config.Secrets), k.secrets[0], k.secrets[1])
	case config.Mail != nil:
		return nil, fmt.Errorf("channel %s: mail: %w: it is for mail alone", config.Name, ErrMail)
	}
	address, err := url.Parse(config.URL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Hostname() == "" {
		return nil, fmt.Errorf("channel %s: url_file: %w", config.Name, ErrURL)
	}
	w := &web{kind: k, address: address, client: newClient(config.Timeout, config.Roots), now: now, dress: plain}
	if k.dress == nil {
		return w, nil
	}
	if w.dress, err = k.dress(config.Secrets); err != nil {
		return nil, fmt.Errorf("channel %s: secret_files: %w", config.Name, err)
	}
	return w, nil
}

// plain sends the body as it is.
func plain(_ time.Time, _ string, base *url.URL, body []byte) ([]outgoing, error) {
	return []outgoing{{url: base.String(), body: body}}, nil
}
