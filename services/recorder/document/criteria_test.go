package document_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhatAReleaseIsJudgedByIsInTheDocument: everything that a check expects, in words.
func TestWhatAReleaseIsJudgedByIsInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseRisk, func(q *releasev1.Request) {
		q.Validation.Checks = []*releasev1.Check{{Name: "deep", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{
			Path:          "/health",
			ExpectHeaders: []*releasev1.ExpectedHeader{{Name: "Server", Expect: &releasev1.ExpectedHeader_Present{}}},
			ExpectJson:    []*releasev1.ExpectedJson{{Pointer: "/queue", Expect: &releasev1.ExpectedJson_Range{Range: &releasev1.NumberRange{Max: new(10.0)}}}},
			MaxLatency:    durationpb.New(300 * time.Millisecond),
		}}}, {Name: "certificate", Probe: &releasev1.Check_Tls{Tls: &releasev1.TlsProbe{Name: "shop.example", MinDays: 14}}}}
	})
	page := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{
		`| deep | validation | HTTP /health answers 200, header Server is not there, "/queue" is at most 10, no answer slower than 300ms |`,
		"| certificate | validation | tls certificate of shop.example is trusted, for 14 days more, nothing older than TLS 1.2, within 5s |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("without %s:\n%s", want, page)
		}
	}
}
