package command

import (
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func TestSourcesOfAlertsForDev(t *testing.T) {
	good, err := devOptions{alertmanagers: []string{"alertmanager=http://127.0.0.1:9093"}, prometheuses: []string{"prometheus=http://127.0.0.1:9090/sub"}}.alertSources()
	if err != nil || len(good) != 2 || good[0].GetName() != "alertmanager" || good[1].GetKind() != configv1.AlertSource_KIND_PROMETHEUS || good[1].GetUrl() != "http://127.0.0.1:9090/sub" {
		t.Errorf("%v, %v", good, err)
	}
	for want, o := range map[string]devOptions{
		"--alertmanager http://a:9093: must be NAME=URL":     {alertmanagers: []string{"http://a:9093"}},
		"--prometheus p=a:9090: alert_sources[0]: url":       {prometheuses: []string{"p=a:9090"}},
		"--prometheus a=http://b:9090: a is there already":   {alertmanagers: []string{"a=http://a:9093"}, prometheuses: []string{"a=http://b:9090"}},
		"--prometheus p=http://u:secret@a: alert_sources[0]": {prometheuses: []string{"p=http://u:secret@a"}},
	} {
		if _, err := o.alertSources(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
