package station_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// logged is what is logged while f runs.
func logged(t *testing.T, f func()) string {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(before)
	f()
	return out.String()
}

// A target that is misspelled in a service's configuration shows at the start, as soon
// as a document is in effect that could know it; and so does a trusted root by which people
// sign, and that is not configured.
func TestATargetThatNoDocumentKnowsIsWarnedOf(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	c := config(t, n.URL(), envelopetest.PrivateKey(procedure.ServiceApproval))
	ctx, cancel := context.WithCancel(t.Context())
	s, err := station.Open(ctx, procedure.ServiceApproval, c)
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{"shop-eu1", "shop-eu3"}
	if text := logged(t, func() { s.WarnOfTargets(ctx, targets) }); text != "" {
		t.Errorf("without a document it says %s", text)
	}
	data, err := os.ReadFile("../../examples/starter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := "sha256:" + strings.Repeat("0", 64)
	data = []byte(strings.Replace(string(data), "\npeople:\n", "\nsigstore: {trusted_root: \""+root+"\"}\npeople:\n"+
		"  - {id: zoe, name: Zoe, signing_identities: [{issuer: \"https://id.shop.example\", subject: zoe@shop.example}]}\n", 1))
	if _, err := s.Evidence.Put(ctx, "application/yaml", "procedure", data); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Append(ctx, eventstore.Draft{Aggregate: procedure.ProcedureAggregate("PROC-DEPLOY-001"), Event: &releasev1.Event{
		Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.0", Digest: policy.Digest(data)}},
	}}); err != nil {
		t.Fatal(err)
	}
	text := logged(t, func() { s.WarnOfTargets(ctx, targets) })
	if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "field=targets[1].target target=shop-eu3") {
		t.Errorf("it says %q", text)
	}
	for has, warns := range map[string]int{root: 0, "": 1} {
		text := logged(t, func() { s.WarnOfRoots(ctx, func(digest string) bool { return digest == has }) })
		if strings.Count(text, "level=WARN") != warns || warns > 0 && !strings.Contains(text, "field=sigstore_root_files procedure=PROC-DEPLOY-001 trusted_root="+root) {
			t.Errorf("where %q is configured, it says %q", has, text)
		}
	}
	// And so does a source of alerts that the document has and the configuration has not.
	data = append(data, []byte("alerts:\n  - {name: a, source: alertmanager, reason: x, matchers: [{label: a, is: b}]}\n  - {name: b, source: prometheus, reason: x, matchers: [{label: a, is: b}]}\n")...)
	if _, err := s.Evidence.Put(ctx, "application/yaml", "procedure", data); err != nil {
		t.Fatal(err)
	}
	active, err := standing.ReadProcedure(ctx, s.Store, "PROC-DEPLOY-001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Append(ctx, active.Draft(&releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.1", Digest: policy.Digest(data)},
	}})); err != nil {
		t.Fatal(err)
	}
	if text := logged(t, func() { s.WarnOfSources(ctx, []string{"prometheus"}) }); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "field=alert_sources source=alertmanager") {
		t.Errorf("of sources it says %q", text)
	}
	// And so does a source of metrics that checks of the document ask.
	checks := "    checks:\n      - name: healthy\n"
	data = []byte(strings.Replace(string(data), checks, "    checks:\n"+
		"      - {name: a, prometheus: {source: metrics, query: up, range: {min: 1}}}\n      - {name: b, prometheus: {source: others, query: up, range: {min: 1}}}\n      - name: healthy\n", 1))
	if _, err := s.Evidence.Put(ctx, "application/yaml", "procedure", data); err != nil {
		t.Fatal(err)
	}
	if active, err = standing.ReadProcedure(ctx, s.Store, "PROC-DEPLOY-001"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Append(ctx, active.Draft(&releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.2", Digest: policy.Digest(data)},
	}})); err != nil {
		t.Fatal(err)
	}
	for configured, misses := range map[string]string{"metrics": "others", "others": "metrics"} {
		text := logged(t, func() { s.WarnOfMetrics(ctx, []string{configured}, []string{"loki"}) })
		if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "field=metric_sources source="+misses) {
			t.Errorf("of sources of metrics beside %s it says %q", configured, text)
		}
	}
	// And so does a program that is not run here.
	data = []byte(strings.Replace(string(data), "    checks:\n      - {name: a, prom", "    checks:\n      - {name: c, command: {command: stock}}\n      - {name: d, command: {command: others}}\n      - {name: a, prom", 1))
	if _, err := s.Evidence.Put(ctx, "application/yaml", "procedure", data); err != nil {
		t.Fatal(err)
	}
	if active, err = standing.ReadProcedure(ctx, s.Store, "PROC-DEPLOY-001"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Append(ctx, active.Draft(&releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.3", Digest: policy.Digest(data)},
	}})); err != nil {
		t.Fatal(err)
	}
	refuses := func(p *releasev1.CommandProbe) error {
		if p.GetCommand() == "others" {
			return errors.New("it is not listed")
		}
		return nil
	}
	if text := logged(t, func() { s.WarnOfCommands(ctx, refuses) }); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "field=commands command=others") {
		t.Errorf("of commands it says %q", text)
	}
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}
