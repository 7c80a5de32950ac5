package alerts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// form names what is kept, so that it is not taken for an answer of a source.
	form = "shipwarden.alerts/v1"
	// labelName is the alert's own name, labelRelease the release that an alert says it is of.
	labelName    = "alertname"
	labelRelease = "shipwarden_release"
)

// kept is what decided of an answer.
type kept struct {
	Form   string      `json:"form"`
	Alerts []keptAlert `json:"alerts"`
}

type keptAlert struct {
	Labels map[string]string `json:"labels"`
	Starts time.Time         `json:"starts"`
}

// Deciding is those of the alerts that a rule is about which concerns the request and asks
// that source, with the labels that decide and no others, oldest first and then by their
// labels. Rules judge them as they judge all. A regular expression that is none is an
// error: the document was checked.
func Deciding(rules []*policyv1.AlertRule, r *releasev1.Request, source string, all []Alert) ([]Alert, error) {
	names := map[string]bool{labelName: true, labelRelease: true}
	taken := make([]bool, len(all))
	for _, rule := range rules {
		if rule.GetSource() != source || !Applies(rule, r) {
			continue
		}
		is, err := matcher(rule, r)
		if err != nil {
			return nil, err
		}
		for i, a := range all {
			taken[i] = taken[i] || is(a)
		}
		for _, m := range rule.GetMatchers() {
			names[m.GetLabel()] = true
		}
	}
	out := []Alert{}
	for i, a := range all {
		if !taken[i] {
			continue
		}
		own := Alert{Labels: map[string]string{}, Starts: a.Starts.UTC()}
		for name := range names {
			if value, ok := a.Labels[name]; ok {
				own.Labels[name] = value
			}
		}
		out = append(out, own)
	}
	slices.SortFunc(out, func(a, b Alert) int {
		return cmp.Or(a.Starts.Compare(b.Starts), slices.Compare(sorted(a.Labels), sorted(b.Labels)))
	})
	return out, nil
}

// sorted is the labels with their values, in one order.
func sorted(labels map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, name, labels[name])
	}
	return out
}

// Document is alerts as they are kept as evidence: for the same alerts the same bytes.
func Document(deciding []Alert) ([]byte, error) {
	k := kept{Form: form, Alerts: []keptAlert{}}
	for _, a := range deciding {
		k.Alerts = append(k.Alerts, keptAlert(a))
	}
	return json.Marshal(k) // It writes the keys of a map in their order.
}

// Parse reads what was kept: what decided of an answer, or, by an older release, the whole
// answer, of whichever kind the source was.
func Parse(body []byte) ([]Alert, error) {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		return alertmanager(body)
	}
	var k kept
	if err := json.Unmarshal(body, &k); err != nil {
		return nil, errors.New("it is no JSON of that form")
	}
	if k.Form == "" {
		return prometheus(body)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	k = kept{}
	if err := decoder.Decode(&k); err != nil || decoder.More() || k.Form != form || k.Alerts == nil {
		return nil, errors.New("it is kept in no form that is known")
	}
	var out []Alert
	for _, a := range k.Alerts {
		one, err := alert(a.Labels, a.Starts)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// alert is one as it is read, with bounded labels that are text. A time that RFC 3339 can
// write in its own zone and not in UTC is refused: it could decide, and nobody could write
// down what did.
func alert(labels map[string]string, starts time.Time) (Alert, error) {
	if year := starts.UTC().Year(); year < 1 || year > 9999 {
		return Alert{}, errors.New("an alert starts outside of the years 1 to 9999")
	}
	own := make(map[string]string, len(labels))
	for k, v := range labels {
		own[k[:min(len(k), maxLabel)]] = strings.ToValidUTF8(v[:min(len(v), maxLabel)], "")
	}
	return Alert{own, starts}, nil
}
