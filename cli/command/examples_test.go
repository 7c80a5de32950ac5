package command_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"buf.build/go/protoyaml"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/cli/backstage"
	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval"
	"github.com/blackdice/shipwarden/services/validator"
)

const examples = "../../examples"

// withoutExample are fields of the procedure document that the example does not set, each
// with the reason. A field that is not here and not there fails the test.
var withoutExample = map[protoreflect.FullName]string{}

func exampleFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func exampleProcedure(t *testing.T, name string) *policyv1.Procedure {
	t.Helper()
	document, err := policy.Parse(exampleFile(t, name), name)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// TestTheExampleSetsEveryFieldOfTheProcedure walks the schema: whoever adds a field shows
// people what it is for.
func TestTheExampleSetsEveryFieldOfTheProcedure(t *testing.T) {
	document := exampleProcedure(t, "procedure.yaml").ProtoReflect()
	set, all := map[protoreflect.FullName]bool{}, map[protoreflect.FullName]bool{}
	fieldsSet(document, set)
	fieldsOf(document.Descriptor(), all)
	for field := range all {
		reason, excused := withoutExample[field]
		switch {
		case !set[field] && !excused:
			t.Errorf("examples/procedure.yaml sets %s nowhere: show it, with a word on what it does", field)
		case set[field] && excused:
			t.Errorf("examples/procedure.yaml sets %s, and withoutExample says that it does not: %s", field, reason)
		}
	}
	for field := range withoutExample {
		if !all[field] {
			t.Errorf("withoutExample has %s, which is no field", field)
		}
	}
	if len(all) < 180 {
		t.Errorf("the schema has %d fields: the walk does not see them", len(all))
	}
}

// fieldsSet notes which fields are set anywhere in a message.
func fieldsSet(m protoreflect.Message, set map[protoreflect.FullName]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		set[f.FullName()] = true
		switch {
		case !ours(f):
		case f.IsList():
			for i := range v.List().Len() {
				fieldsSet(v.List().Get(i).Message(), set)
			}
		default:
			fieldsSet(v.Message(), set)
		}
		return true
	})
}

// fieldsOf notes every field of a message's schema, and of those in it.
func fieldsOf(m protoreflect.MessageDescriptor, all map[protoreflect.FullName]bool) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if all[f.FullName()] {
			continue
		}
		all[f.FullName()] = true
		if ours(f) {
			fieldsOf(f.Message(), all)
		}
	}
}

// ours reports whether a field holds messages of this product, which have fields to show.
func ours(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && !f.IsMap() && strings.HasPrefix(string(f.Message().FullName()), "shipwarden.")
}

func TestTheStarterIsAccepted(t *testing.T) {
	exampleProcedure(t, "starter.yaml")
}

// TestTheExampleConfigurationGoesWithTheExampleProcedure has the service itself look at
// both, with every file in its place.
func TestTheExampleConfigurationGoesWithTheExampleProcedure(t *testing.T) {
	dir, common := t.TempDir(), stationtest.Common(t, procedure.ServiceApproval)
	for name, content := range map[string][]byte{
		"procedure.yaml": exampleFile(t, "procedure.yaml"), "trusted_root.json": exampleFile(t, "sigstore/trusted_root.json"),
		"secrets/operations.url": []byte("https://hooks.slack.com/services/T/B/X"), "secrets/pagerduty.url": []byte("https://events.pagerduty.com/v2/enqueue"),
		"secrets/pagerduty.key": []byte("0123456789abcdef0123456789abcdef"), "secrets/relay.url": []byte("smtps://shipwarden@relay.shop.example:465"),
		"secrets/alertmanager.url": []byte("https://alertmanager.shop.example"), "secrets/tickets.url": []byte("https://tickets.shop.example/hooks"),
		"secrets/tickets.key":    []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
		"secrets/relay.password": []byte("x"), "secrets/alertmanager.token": []byte("x"), "secrets/registry.password": []byte("x"),
		"servicenow-authorization": []byte("Bearer x"), "jira-authorization": []byte("Basic x"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("/etc/shipwarden", dir, "/run/secrets", dir).Replace(string(exampleFile(t, "approval.yaml")))
	file, cfg := stationtest.File(t, "approval.yaml", text), &configv1.Approval{}
	if err := service.LoadConfig(file, cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Common.SigningKey, cfg.Common.KeyringFile = common.GetSigningKey(), common.GetKeyringFile()
	cfg.Common.Nats = common.GetNats() // credentials that are some have a key in them
	if err := approval.Check(cfg); err != nil {
		t.Fatal(err)
	}
	if len(cfg.GetChangeConnectors()) != 2 {
		t.Fatal("no connectors")
	}
	for _, c := range cfg.GetChangeConnectors() {
		alone := &configv1.ChangeConnector{}
		if err := protoyaml.Unmarshal(exampleFile(t, "change-records/"+c.GetName()+".yaml"), alone); err != nil {
			t.Fatal(err)
		}
		c.HeaderFile = strings.Replace(c.GetHeaderFile(), dir, "/run/secrets", 1)
		if diff := cmp.Diff(alone, c, protocmp.Transform()); diff != "" {
			t.Errorf("change-records/%s.yaml and approval.yaml (-,+):\n%s", c.GetName(), diff)
		}
	}
	document := exampleProcedure(t, "procedure.yaml")
	channels := map[string]configv1.ChannelAddress_Kind{}
	for _, c := range cfg.GetChannels() {
		channels[c.GetChannel()] = c.GetKind()
	}
	for _, c := range document.GetChannels() {
		if _, there := channels[c.GetName()]; !there {
			t.Errorf("approval.yaml has no address of the channel %s", c.GetName())
		}
	}
	if len(channels) != len(document.GetChannels()) {
		t.Errorf("approval.yaml has the channels %v", channels)
	}
	for _, a := range document.GetAlerts() {
		found := false
		for _, s := range cfg.GetAlertSources() {
			found = found || s.GetName() == a.GetSource()
		}
		if !found {
			t.Errorf("approval.yaml has no source %s, which the alert %s is asked of", a.GetSource(), a.GetName())
		}
	}
}

// TestTheExampleConfigurationOfTheValidatorGoesWithIt, and has every source of metrics that a
// check of the example asks.
func TestTheExampleConfigurationOfTheValidatorGoesWithIt(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"prometheus.token": "x", "loki.token": "x", "prometheus.key": "x",
		"eu.kubeconfig": "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], " +
			"clusters: [{name: a, cluster: {server: 'https://192.0.2.1'}}], users: [{name: a, user: {token: x}}]}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(string(exampleFile(t, "validator.yaml")), "/etc/shipwarden/secrets", dir)
	cfg, err := validator.Load(stationtest.File(t, "validator.yaml", text))
	if err != nil {
		t.Fatal(err)
	}
	document, asked := exampleProcedure(t, "procedure.yaml"), 0
	for _, s := range document.GetServices() {
		for _, c := range s.GetChecks() {
			source, ofLogs := criterion.Source(c)
			if source == "" {
				continue
			}
			asked++
			configured := cfg.GetMetricSources()
			if ofLogs {
				configured = cfg.GetLogSources()
			}
			if !slices.ContainsFunc(configured, func(m *configv1.MetricSource) bool { return m.GetName() == source }) {
				t.Errorf("validator.yaml has no source %s, which the check %s asks", source, c.GetName())
			}
		}
	}
	if asked == 0 {
		t.Error("no check asks a source of metrics")
	}
}

// TestTheExampleProcedureIsMadeOfTheFilesBesideIt: the services of the catalog and the
// freeze of the calendar are in it as the commands make them.
func TestTheExampleProcedureIsMadeOfTheFilesBesideIt(t *testing.T) {
	document := exampleProcedure(t, "procedure.yaml")
	catalog, _, err := backstage.Import(backstage.File{Name: "catalog-info.yaml", Data: exampleFile(t, "catalog-info.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range document.GetServices() {
		bare := &policyv1.Service{Name: s.GetName(), Title: s.GetTitle(), Tier: s.GetTier(), OwnerGroups: s.GetOwnerGroups(), Dependencies: s.GetDependencies()}
		if len(catalog.GetServices()) <= i || !proto.Equal(bare, catalog.GetServices()[i]) {
			t.Errorf("service %s is otherwise in catalog-info.yaml: %v", s.GetName(), catalog.GetServices())
		}
	}
	if n := len(catalog.GetTargets()); n == 0 || n > len(document.GetTargets()) {
		t.Fatalf("catalog-info.yaml has %d targets", n)
	}
	for i, target := range catalog.GetTargets() {
		if diff := cmp.Diff(target, document.GetTargets()[i], protocmp.Transform()); diff != "" {
			t.Errorf("target %s (-of catalog-info.yaml, +of procedure.yaml):\n%s", target.GetId(), diff)
		}
	}
	if diff := cmp.Diff(catalog.GetCustomerContacts(), document.GetCustomerContacts(), protocmp.Transform()); diff != "" {
		t.Errorf("customer_contacts (-of catalog-info.yaml, +of procedure.yaml):\n%s", diff)
	}
	for _, f := range document.GetFreezes() {
		if f.GetCalendar() == nil {
			continue
		}
		made, err := freeze.Reduce(&policyv1.Calendar{Icalendar: string(exampleFile(t, "holidays.ics")), TimeZone: f.GetCalendar().GetTimeZone()})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made, f.GetCalendar(), protocmp.Transform()); diff != "" {
			t.Errorf("freeze %s (-of holidays.ics, +of procedure.yaml):\n%s", f.GetName(), diff)
		}
	}
}
