package changerecord_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/dnstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestATrackersNameLeadsNowhereElse has a name server that answers well first and badly
// afterwards, and names of what nobody asks.
func TestATrackersNameLeadsNowhereElse(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"id":"A","state":"x"}`))
	}))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	dnstest.Use(t, map[string][]string{
		"tracker.localhost": {"127.0.0.1", "169.254.169.254"}, "away.localhost": {"192.0.2.1"}, "here.test": {"127.0.0.1"}, "meta.test": {"169.254.169.254"},
	})
	at := func(origin string) *changerecord.Connector {
		c, err := changerecord.New(&configv1.ChangeConnector{Name: "x", Url: origin + ":" + port + "/{id}", Fields: &configv1.RecordFields{Id: "/id", State: "/state"}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	turning := at("http://tracker.localhost")
	if _, err := turning.Look(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*changerecord.Connector{
		"turned": turning, "away": at("http://away.localhost"), "here": at("https://here.test"), "metadata": at("https://meta.test"),
	} {
		if _, err := c.Look(t.Context(), "A"); !errors.Is(err, changerecord.ErrUnknown) || !strings.Contains(err.Error(), "leads to where nobody is asked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
}
