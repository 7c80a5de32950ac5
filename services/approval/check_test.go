package approval_test

import (
	"os"
	"testing"

	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval"
)

func TestTheConfigurationIsCheckedWithoutReachingAnybody(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*configv1.Approval)
		fields []string
	}{
		{"nothing", func(*configv1.Approval) {}, nil},
		{"the key is another's", func(c *configv1.Approval) { c.Common.SigningKey.Id = "executor-test" }, []string{"common.signing_key.id"}},
		{"the bus is a web page", func(c *configv1.Approval) { c.Common.Nats.Urls[0] = "http://nats:4222" }, []string{"common.nats.urls[0]"}},
		{"no address for metrics", func(c *configv1.Approval) { c.Common.HttpListen = "9090" }, []string{"common.http_listen"}},
		{"no address for decisions", func(c *configv1.Approval) { c.Grpc.Listen = "here" }, []string{"grpc.listen"}},
		{"half a certificate", func(c *configv1.Approval) { c.Grpc.Tls = &configv1.Tls{CertificateFile: "/none"} }, []string{"grpc.tls"}},
		{"tokens that are not there", func(c *configv1.Approval) { c.TokensFile = "/none" }, []string{"tokens_file"}},
		{"a token of nothing", func(c *configv1.Approval) {
			c.TokensFile = stationtest.File(t, "tokens.yaml", "tokens: [{sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, person: mia}]\n")
		}, []string{"tokens_file"}},
		{"a provider that anybody could be", func(c *configv1.Approval) {
			c.Oidc = &configv1.Oidc{Issuer: "http://id.shop.example", Audience: "shipwarden"}
		}, []string{"oidc.issuer"}},
		{"a document that is not there", func(c *configv1.Approval) { c.ProcedureFile = "/none" }, []string{"procedure_file"}},
		{"a channel that nobody has", func(c *configv1.Approval) { c.Channels[1].Channel = "operation" }, []string{"channels[1].channel"}},
		{"addresses that are not there", func(c *configv1.Approval) {
			c.Channels[0].UrlFile, c.Channels[1].UrlFile = "/none", stationtest.File(t, "url", "ftp://chat.example")
		}, []string{"channels[0].url_file", "channels[1]"}},
		{"a connector in plain text", func(c *configv1.Approval) {
			c.ChangeConnectors = []*configv1.ChangeConnector{{Name: "jira", Url: "http://jira.example/{id}"}}
		}, []string{"change_connectors[0].url"}},
		{"a connector that the document needs", func(c *configv1.Approval) {
			text, err := os.ReadFile(c.GetProcedureFile())
			if err != nil {
				t.Fatal(err)
			}
			c.ProcedureFile = stationtest.File(t, "procedure.yaml", string(text)+"\nchange_records:\n  - {name: cr, connector: jira, system: jira, id_pattern: CHG, states: [open]}\n")
		}, []string{"change_connectors"}},
		{"a signature without a secret", func(c *configv1.Approval) { c.Channels[1].Kind = configv1.ChannelAddress_KIND_STANDARD_WEBHOOK }, []string{"channels[1]"}},
		{"a secret that is not there", func(c *configv1.Approval) { c.Channels[1].SecretFiles = []string{"/none"} }, []string{"channels[1].secret_files[0]"}},
		{"no certificates", func(c *configv1.Approval) { c.Channels[1].CaFile = stationtest.File(t, "ca.pem", "none") }, []string{"channels[1].ca_file"}},
		{"sources of alerts that cannot be", func(c *configv1.Approval) {
			const kind = configv1.AlertSource_KIND_PROMETHEUS
			c.AlertSources = []*configv1.AlertSource{
				{Name: "a", Kind: kind, Url: "https://prometheus:9090"},
				{Name: "a", Kind: kind, Url: "https://prometheus:9090"},
				{Name: "b", Kind: kind, Url: "prometheus:9090"},
				{Name: "c", Kind: kind, Url: "http://prometheus:9090", TokenFile: "/none"},
				{Name: "d", Kind: kind, Url: "https://prometheus:9090", TokenFile: "/none"},
			}
		}, []string{"alert_sources[1].name", "alert_sources[2]", "alert_sources[3]", "alert_sources[4]"}},
		{"a registry given twice", func(c *configv1.Approval) {
			c.Registries = []*configv1.Registry{{Host: "registry.example"}, {Host: "registry.example"}}
		}, []string{"registries[1].host"}},
		{"no registry where statements are to be there", func(c *configv1.Approval) {
			data, err := os.ReadFile("../../examples/starter.yaml")
			if err != nil {
				t.Fatal(err)
			}
			c.ProcedureFile = stationtest.File(t, "procedure.yaml", string(data)+"\nreferrers: true\n")
		}, []string{"registries"}},
		{"everything at once", func(c *configv1.Approval) {
			c.Common.HttpListen, c.Grpc.Listen, c.Channels[0].Channel = "", "", "board"
		}, []string{"common.http_listen", "grpc.listen", "channels[0].channel"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := &configv1.Approval{
				Common: stationtest.Common(t, procedure.ServiceApproval), Grpc: &configv1.Grpc{Listen: "127.0.0.1:0"},
				ProcedureFile: "../../examples/starter.yaml",
			}
			for _, name := range []string{"operations", "duty-phone"} {
				cfg.Channels = append(cfg.Channels, &configv1.ChannelAddress{
					Channel: name, Kind: configv1.ChannelAddress_KIND_WEBHOOK, UrlFile: stationtest.File(t, "url", "https://chat.example/"+name),
				})
			}
			test.change(cfg)
			stationtest.Named(t, approval.Check(cfg), test.fields...)
		})
	}
}
