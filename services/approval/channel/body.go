package channel

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// How many characters of a notice are sent. Chats cut longer ones, or refuse them.
const (
	maxLine   = 256 // of a subject, and of a field's name and value
	maxText   = 3000
	maxFields = 32
	maxTo     = 128
)

// content is what a generic webhook is told.
type content struct {
	Key      string            `json:"idempotency_key"`
	Release  string            `json:"release"`
	Occasion string            `json:"occasion"`
	Subject  string            `json:"subject"`
	Text     string            `json:"text"`
	To       []string          `json:"to,omitempty"`
	People   []string          `json:"people,omitempty"`
	Fields   map[string]string `json:"fields"`
	Time     string            `json:"time"`
}

func contentOf(m notify.Message) content {
	fields := make(map[string]string, len(m.Fields))
	for _, name := range fieldNames(m) {
		fields[shorten(name, maxLine)] = shorten(m.Fields[name], maxLine)
	}
	return content{
		m.Key, m.Release, m.Occasion, shorten(m.Subject, maxLine), shorten(m.Text, maxText),
		names(m.To), names(m.People), fields, m.Time.UTC().Format(time.RFC3339Nano),
	}
}

func names(all []string) (out []string) {
	for _, name := range all[:min(len(all), maxTo)] {
		out = append(out, shorten(name, maxLine))
	}
	return out
}

func webhookBody(m notify.Message) ([]byte, error) { return json.Marshal(contentOf(m)) }

func slackBody(m notify.Message) ([]byte, error) {
	return json.Marshal(struct {
		Text string `json:"text"`
	}{slackText(m)})
}

// slackText returns the notice as a text that a chat shows as it is: nothing that
// somebody wrote into a request becomes a link, a mention or another message.
func slackText(m notify.Message) string {
	var text strings.Builder
	text.WriteString("*" + escape(line(m.Subject)) + "*\n")
	if m.Text != "" {
		text.WriteString(escape(shorten(m.Text, maxText)) + "\n")
	}
	if len(m.To) > 0 {
		text.WriteString("Called: " + escape(shorten(strings.Join(m.To, ", "), maxText)) + "\n")
	}
	for _, name := range fieldNames(m) {
		if value := line(m.Fields[name]); value != "" {
			text.WriteString("• " + escape(line(name)) + ": " + escape(value) + "\n")
		}
	}
	text.WriteString("_" + escape(line(m.Key)) + "_")
	return text.String()
}

// escape takes the meaning from the characters by which a chat knows links and
// mentions. Slack mentions by <!channel>, Mattermost by @channel.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b").Replace

// line returns a text in one line.
func line(text string) string { return mail.Line(text, maxLine) }

// shorten returns at most so many characters of a text, without those that are
// not seen and change what is.
func shorten(text string, limit int) string { return mail.Shorten(text, limit) }

func fieldNames(m notify.Message) []string {
	names := slices.Sorted(maps.Keys(m.Fields))
	return names[:min(len(names), maxFields)]
}
