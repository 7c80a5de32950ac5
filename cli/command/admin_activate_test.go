package command

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestWhoForcesADocumentSaysWhoTheyAre: otherwise they could review it themselves. Of the
// first document of all no review is owed, and nothing says that one is.
func TestWhoForcesADocumentSaysWhoTheyAre(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	common := stationtest.Common(t, procedure.ServiceApproval)
	common.Nats = &configv1.Nats{Urls: []string{n.URL()}}
	document, err := os.ReadFile("../../examples/starter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first := stationtest.File(t, "procedure.yaml", string(document))
	second := stationtest.File(t, "second.yaml", strings.Replace(string(document), `version: "1.0"`, `version: "1.1"`, 1))
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(&configv1.Approval{Common: common, Grpc: &configv1.Grpc{Listen: "127.0.0.1:0"}, ProcedureFile: first})
	if err != nil {
		t.Fatal(err)
	}
	config := stationtest.File(t, "approval.yaml", string(text))
	activate := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := Main(t.Context(), append([]string{"admin", "activate", "--config", config, "--reason", "it burns"}, args...), Process{
			In: bytes.NewReader(nil), Out: &out, Err: &out, Getenv: func(string) string { return "" }, ConfigHome: t.TempDir(), Width: func() int { return 0 },
		})
		return code, out.String()
	}
	const owed = "a review of it is owed"
	if code, said := activate("--override", "--as", "dave"); code != 0 || strings.Contains(said, owed) {
		t.Errorf("the first one, with --override that it does not need: %d, %s", code, said)
	}
	for _, as := range [][]string{nil, {"--as", ""}, {"--as", " \t"}, {"--as", "\u200b"}} {
		if code, said := activate(append(as, "--override", "-f", second)...); code != exit.Usage || !strings.Contains(said, "--as: with --override, say who you are") {
			t.Errorf("as %q: %d, %s", as, code, said)
		}
	}
	for range 2 { // An answer that was lost: it is owed the second time as well.
		if code, said := activate("--override", "-f", second, "--as", "dave"); code != 0 || !strings.Contains(said, owed) {
			t.Errorf("the second: %d, %s", code, said)
		}
	}
}
