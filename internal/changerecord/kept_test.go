package changerecord_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/changerecord"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestTheSameReadingIsKeptOnce looks a record up while everything in the answer changes that
// decides nothing, and then what does. What is kept is judged again as what was read.
func TestTheSameReadingIsKeptOnce(t *testing.T) {
	asked, status, state := 0, http.StatusOK, "Scheduled"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(status)
		if status == http.StatusNotFound {
			_, _ = fmt.Fprintf(w, "<html>nothing here, request %d</html>", asked)
			return
		}
		_, _ = fmt.Fprintf(w, `{"seen":%d,"rows":[{"other":%d},{"num/ber":"CHG-1","state":{"name":%q,"color":"c%d"},"sequence":12345678901234567890,"end":"2099-01-02T03:04:05Z"}]}`,
			asked, asked, state, asked)
	}))
	t.Cleanup(server.Close)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{{
		Name: "tracker", Url: server.URL + "/{id}",
		Fields: &configv1.RecordFields{Id: "/rows/1/num~1ber", State: "/rows/1/state/name", Service: "/rows/1/sequence", WindowStart: "/rows/7/start", WindowEnd: "/rows/1/end"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rule := &policyv1.ChangeRecordRule{
		Name: "change", Connector: "tracker", System: "tracker", IdPattern: "CHG-[0-9]+", States: []string{"Scheduled"},
		ServiceNames: map[string]string{"shop": "12345678901234567890"},
	}
	request := &releasev1.Request{Service: "shop", ChangeRecord: &releasev1.ChangeRecord{System: "tracker", Id: "CHG-1"}}
	look := func() string {
		t.Helper()
		got := connectors.Check(t.Context(), []*policyv1.ChangeRecordRule{rule}, request, now)[0]
		if got.Unknown != nil {
			t.Fatal(got.Unknown)
		}
		again, known, err := changerecord.Again(rule, request, got.Document, now)
		if err != nil || !known || again.Why != got.Why || !proto.Equal(again.Reading, got.Reading) {
			t.Errorf("by what is kept %v, %q, %v; it was %v, %q", again.Reading, again.Why, err, got.Reading, got.Why)
		}
		return string(got.Document)
	}
	first := look()
	if second := look(); second != first || strings.Contains(first, "color") || strings.Contains(first, "seen") || !strings.Contains(first, "12345678901234567890") {
		t.Errorf("kept is\n%s\nand then\n%s", first, second)
	}
	if state = "Closed"; look() == first {
		t.Error("another state is kept as the same")
	}
	status = http.StatusNotFound
	if gone := look(); gone != look() || strings.Contains(gone, "html") {
		t.Errorf("that there is none is kept as\n%s", gone)
	}
}
