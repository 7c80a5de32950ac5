package channel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/services/approval/notify"
)

// Chats take a text and show it. None of them knows keys, so that nothing is sent again
// of which nobody can tell whether it arrived. What somebody wrote into a request must
// not become a link, a mention or another message in any of them.

// maxDiscord is how many characters Discord takes.
const maxDiscord = 2000

// plainText is a notice as lines without a meaning: first what it is about, last its key.
func plainText(m notify.Message, clean func(string) string) string {
	var text strings.Builder
	say := func(s string) { text.WriteString(clean(s) + "\n") }
	if m.Text != "" {
		say(shorten(m.Text, maxText))
	}
	if len(m.To) > 0 {
		say("Called: " + shorten(strings.Join(m.To, ", "), maxText))
	}
	for _, name := range fieldNames(m) {
		if value := line(m.Fields[name]); value != "" {
			say("- " + line(name) + ": " + value)
		}
	}
	text.WriteString(clean(line(m.Key)))
	return text.String()
}

func asItIs(text string) string { return text }

// teamsBody is an adaptive card, as workflows of Teams take it. Its text blocks know
// links and bold type, which are taken from them.
func teamsBody(m notify.Message) ([]byte, error) {
	type block struct {
		Type   string `json:"type"`
		Text   string `json:"text"`
		Wrap   bool   `json:"wrap"`
		Weight string `json:"weight,omitempty"`
	}
	type card struct {
		Schema  string  `json:"$schema"`
		Type    string  `json:"type"`
		Version string  `json:"version"`
		Body    []block `json:"body"`
	}
	type attachment struct {
		ContentType string `json:"contentType"`
		Content     card   `json:"content"`
	}
	body := []block{{"TextBlock", escapeMarkdown(line(m.Subject)), true, "Bolder"}}
	for _, each := range strings.Split(plainText(m, escapeMarkdown), "\n") {
		if each != "" {
			body = append(body, block{"TextBlock", each, true, ""})
		}
	}
	return json.Marshal(struct {
		Type        string       `json:"type"`
		Attachments []attachment `json:"attachments"`
	}{"message", []attachment{{
		"application/vnd.microsoft.card.adaptive",
		card{"http://adaptivecards.io/schemas/adaptive-card.json", "AdaptiveCard", "1.4", body},
	}}})
}

// discordBody mentions nobody, whatever the text says, and shows no preview of links.
func discordBody(m notify.Message) ([]byte, error) {
	const suppressEmbeds = 4
	text := "**" + escapeMarkdown(line(m.Subject)) + "**\n" + plainText(m, escapeMarkdown)
	type mentions struct {
		Parse []string `json:"parse"`
	}
	return json.Marshal(struct {
		Content  string   `json:"content"`
		Mentions mentions `json:"allowed_mentions"`
		Flags    int      `json:"flags"`
	}{shorten(text, maxDiscord-1), mentions{[]string{}}, suppressEmbeds})
}

// googleChatBody is a text in which, as in Slack, links and mentions stand in <…>.
func googleChatBody(m notify.Message) ([]byte, error) {
	return json.Marshal(struct {
		Text string `json:"text"`
	}{"*" + escapeMarkdown(line(m.Subject)) + "*\n" + plainText(m, escapeMarkdown)})
}

// escapeMarkdown takes the meaning from the characters by which chats know links, mentions and
// type. An invisible character is put behind each that stands in pairs or begins something;
// a backslash would be shown by some.
var escapeMarkdown = strings.NewReplacer(
	"<", "‹", ">", "›", "[", "[\u200b", "]", "]\u200b", "(", "(\u200b", "@", "@\u200b", "*", "*\u200b", "_", "_\u200b", "`", "`\u200b",
	"~", "~\u200b", "|", "|\u200b", "#", "#\u200b", "://", ":\u200b//",
).Replace

// ntfyMessage is what ntfy takes as JSON; the topic is a secret of the address.
type ntfyMessage struct {
	Topic    string   `json:"topic,omitempty"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"`
	Tags     []string `json:"tags"`
}

func ntfyBody(m notify.Message) ([]byte, error) {
	priority := map[string]int{"critical": 5, "error": 4, "warning": 4, "info": 3}[severity(m.Occasion)]
	return json.Marshal(ntfyMessage{Title: line(m.Subject), Message: plainText(m, asItIs), Priority: priority, Tags: []string{m.Occasion}})
}

var accessToken = regexp.MustCompile(`^[\x21-\x7e]+$`)

// publishing splits the topic from the address, because ntfy takes JSON at its root.
func publishing(secrets []string) (dress, error) {
	header := http.Header{}
	if len(secrets) == 1 {
		if !accessToken.MatchString(secrets[0]) {
			return nil, fmt.Errorf("[0]: %w: it is no access token", ErrSecrets)
		}
		header.Set("Authorization", "Bearer "+secrets[0])
	}
	return func(_ time.Time, _ string, base *url.URL, body []byte) ([]outgoing, error) {
		var m ntfyMessage
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, err
		}
		root := *base
		cut := strings.LastIndex(root.Path, "/")
		m.Topic = root.Path[cut+1:]
		root.Path = root.Path[:cut+1]
		one, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		return []outgoing{{url: root.String(), body: one, header: header}}, nil
	}, nil
}
