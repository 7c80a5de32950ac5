package channel

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/blackdice/shipwarden/services/approval/notify"
)

// maxAlarms bounds how many alarms one notice takes on or settles, the newest ones.
const maxAlarms = 32

// routingKey is what an integration of PagerDuty is known by.
var routingKey = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)

// pagerDutyEvent is an event of PagerDuty's Events API v2. The routing key is a secret,
// and added when it is sent: it is empty in what is kept.
type pagerDutyEvent struct {
	RoutingKey string            `json:"routing_key,omitempty"`
	Action     string            `json:"event_action"`
	DedupKey   string            `json:"dedup_key"`
	Client     string            `json:"client,omitempty"`
	Payload    *pagerDutyPayload `json:"payload,omitempty"`
}

type pagerDutyPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details"`
}

// pagerDutyBody is the events of a notice: it opens an incident under its own key, or
// acknowledges or resolves those of the notices that it names. PagerDuty merges what
// comes under one key, so that a repetition is no second incident; each rung that is
// called has a key of its own, so that each of them pages.
func pagerDutyBody(m notify.Message) ([]byte, error) {
	if m.Action != notify.Raise {
		action := map[notify.Action]string{notify.TakeOn: "acknowledge", notify.Settle: "resolve"}[m.Action]
		all := []pagerDutyEvent{}
		for _, alarm := range newest(m.Alarms) {
			all = append(all, pagerDutyEvent{Action: action, DedupKey: alarm.Key})
		}
		return json.Marshal(all)
	}
	c := contentOf(m)
	details := c.Fields
	details["text"], details["key"] = c.Text, c.Key
	return json.Marshal([]pagerDutyEvent{{
		Action: "trigger", DedupKey: m.Key, Client: "Shipwarden",
		Payload: &pagerDutyPayload{
			Summary: line(m.Subject), Source: m.Release, Severity: severity(m.Occasion), Timestamp: c.Time,
			Component: m.Fields["service"], Group: m.Fields["environment"], Class: m.Occasion, Details: details,
		},
	}})
}

// severity is how bad an occasion is, in the words that PagerDuty has.
func severity(occasion string) string {
	switch occasion {
	case "escalation":
		return "critical"
	case "emergency":
		return "error"
	case "rollback", "correction", "freeze_overridden":
		return "warning"
	default:
		return "info"
	}
}

func newest(alarms []notify.Alarm) []notify.Alarm {
	return alarms[max(0, len(alarms)-maxAlarms):]
}

// routing adds the routing key to each event, and sends one after the other: the API
// takes them one by one.
func routing(secrets []string) (dress, error) {
	if !routingKey.MatchString(secrets[0]) {
		return nil, fmt.Errorf("[0]: %w: a routing key is 32 letters and digits", ErrSecrets)
	}
	return func(_ time.Time, _ string, base *url.URL, body []byte) ([]outgoing, error) {
		var events []pagerDutyEvent
		if err := json.Unmarshal(body, &events); err != nil {
			return nil, err
		}
		var all []outgoing
		for _, e := range events {
			e.RoutingKey = secrets[0]
			one, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			all = append(all, outgoing{url: base.String(), body: one})
		}
		return all, nil
	}, nil
}
