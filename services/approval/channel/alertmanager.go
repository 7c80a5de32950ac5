package channel

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/blackdice/shipwarden/services/approval/notify"
)

// firing is how long an alert fires that nobody settles and that is told no end.
const firing = time.Hour

// alert is an alert as Alertmanager's API v2 takes it. It is known by its labels.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    string            `json:"startsAt,omitempty"`
	EndsAt      string            `json:"endsAt"`
}

// alertmanagerBody is the alerts of a notice. One of its own fires until what it tells
// of is told anew, and at the most for an hour where that is not known: without an end
// Alertmanager would settle it after minutes, by itself. Taking an alarm on settles it,
// because Alertmanager knows nothing in between.
func alertmanagerBody(m notify.Message) ([]byte, error) {
	if m.Action != notify.Raise {
		all := []alert{}
		for _, a := range newest(m.Alarms) {
			all = append(all, alert{Labels: labels(m, a), EndsAt: stamp(m.Time)})
		}
		return json.Marshal(all)
	}
	annotations := map[string]string{"summary": line(m.Subject), "description": shorten(m.Text, maxText)}
	for _, name := range fieldNames(m) {
		if value := line(m.Fields[name]); value != "" {
			annotations[name] = value
		}
	}
	until := m.Until
	if until.IsZero() {
		until = m.Time.Add(firing)
	}
	return json.Marshal([]alert{{
		Labels: labels(m, notify.Alarm{Key: m.Key, Occasion: m.Occasion}), Annotations: annotations,
		StartsAt: stamp(m.Time), EndsAt: stamp(until),
	}})
}

// labels are those of an alarm, the same when it is raised and when it is settled.
func labels(m notify.Message, a notify.Alarm) map[string]string {
	all := map[string]string{
		"alertname": "ShipwardenNotice", "notice": a.Key, "occasion": a.Occasion, "severity": severity(a.Occasion), "release": m.Release,
	}
	for _, name := range []string{"service", "environment"} {
		if value := line(m.Fields[name]); value != "" {
			all[name] = value
		}
	}
	return all
}

// alerting sends to the API below the address that Prometheus is given, too.
func alerting([]string) (dress, error) {
	return func(_ time.Time, _ string, base *url.URL, body []byte) ([]outgoing, error) {
		return []outgoing{{url: base.JoinPath("api", "v2", "alerts").String(), body: body}}, nil
	}, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
