package alerts_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/dnstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestASourcesNameLeadsNowhereElse has a name server that answers well first and badly
// afterwards, and names of what nobody asks.
func TestASourcesNameLeadsNowhereElse(t *testing.T) {
	asked := 0
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Connection", "close")
		_, _ = w.Write([]byte(`[]`))
	})
	dnstest.Use(t, map[string][]string{
		"alerts.localhost": {"127.0.0.1", "169.254.169.254"}, "here.test": {"127.0.0.1"}, "meta.test": {"169.254.169.254"},
	})
	at := func(name string) *alerts.Source {
		return source(t, configv1.AlertSource_KIND_ALERTMANAGER, strings.Replace(s.URL, "127.0.0.1", name, 1))
	}
	turning := at("alerts.localhost")
	if _, err := turning.Active(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]*alerts.Source{"turned": turning, "here": at("here.test"), "metadata": at("meta.test")} {
		if _, err := from.Active(t.Context()); !errors.Is(err, alerts.ErrAsk) || !strings.Contains(err.Error(), "leads to where nobody is asked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
}
