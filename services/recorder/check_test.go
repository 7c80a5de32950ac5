package recorder_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder"
)

func TestTheConfigurationIsCheckedWithoutReachingAnybody(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*configv1.Recorder)
		fields []string
	}{
		{"nothing", func(*configv1.Recorder) {}, nil},
		{"the key is another's", func(c *configv1.Recorder) { c.Common.SigningKey.Id = "approval-test" }, []string{"common.signing_key.id"}},
		{"no connection string", func(c *configv1.Recorder) { c.DatabaseUrlFile = "/none" }, []string{"database_url_file"}},
		{"no owner's either", func(c *configv1.Recorder) { c.MigrateUrlFile = "/none" }, []string{"migrate_url_file"}},
		{"everybody may read", func(c *configv1.Recorder) { c.TokensFile = "" }, []string{"tokens_file"}},
		{"a provider alone is enough", func(c *configv1.Recorder) {
			c.TokensFile, c.Oidc, c.ReaderGroups = "", &configv1.Oidc{Issuer: "https://id.shop.example", Audience: "shipwarden"}, []string{"auditors"}
		}, nil},
		{"a provider that anybody could be", func(c *configv1.Recorder) {
			c.Oidc, c.ReaderGroups = &configv1.Oidc{Issuer: "http://id.shop.example", Audience: "shipwarden"}, []string{"auditors"}
		}, []string{"oidc.issuer"}},
		{"everybody whom the provider knows", func(c *configv1.Recorder) {
			c.Oidc = &configv1.Oidc{Issuer: "https://id.shop.example", Audience: "shipwarden"}
		}, []string{"reader_groups"}},
		{"groups of nobody", func(c *configv1.Recorder) { c.ReaderGroups = []string{"auditors"} }, []string{"reader_groups"}},
		{"people are told", func(c *configv1.Recorder) { c.Digest = told(t) }, nil},
		{"people are told by a relay that is a web page", func(c *configv1.Recorder) {
			c.Digest = told(t)
			c.Digest.UrlFile = stationtest.File(t, "page", "https://ship@relay.shop.example:465")
		}, []string{"digest.url_file"}},
		{"people are told with a password in the address", func(c *configv1.Recorder) {
			c.Digest = told(t)
			c.Digest.UrlFile = stationtest.File(t, "relay", "smtps://ship:T0PS3CRET@relay.shop.example:465")
		}, []string{"digest.url_file"}},
		{"people are told without the password", func(c *configv1.Recorder) { c.Digest = told(t); c.Digest.PasswordFile = "" }, []string{"digest.password_file"}},
		{"people are told by files that are not there", func(c *configv1.Recorder) {
			c.Digest = told(t)
			c.Digest.UrlFile, c.Digest.PasswordFile, c.Digest.CaFile = "/none", "/none", "/none"
		}, []string{"digest.url_file", "digest.password_file", "digest.ca_file"}},
		{"people are told by somebody else's name", func(c *configv1.Recorder) { c.Digest = told(t); c.Digest.From = "Ship <ship@shop.example>" }, []string{"digest.from"}},
		{"people are told in no zone", func(c *configv1.Recorder) { c.Digest = told(t); c.Digest.TimeZone = "Local" }, []string{"digest.time_zone"}},
		{"people are told at no time", func(c *configv1.Recorder) { c.Digest = told(t); c.Digest.At = "noon" }, []string{"digest.at"}},
		{"nowhere to ask", func(c *configv1.Recorder) { c.Grpc.Listen = "here" }, []string{"grpc.listen"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := &configv1.Recorder{
				Common: stationtest.Common(t, procedure.ServiceRecorder), Grpc: &configv1.Grpc{Listen: "127.0.0.1:0"},
				DatabaseUrlFile: stationtest.File(t, "dsn", "postgres://127.0.0.1:1/none"),
				TokensFile:      stationtest.File(t, "tokens.yaml", "tokens: [{sha256: "+strings.Repeat("ab", 32)+", person: audra, reader: true}]\n"),
			}
			test.change(cfg)
			stationtest.Named(t, recorder.Check(cfg), test.fields...)
		})
	}
}

// told has people told by a relay.
func told(t *testing.T) *configv1.Digest {
	t.Helper()
	return &configv1.Digest{
		UrlFile: stationtest.File(t, "relay", "smtps://ship@relay.shop.example:465"), PasswordFile: stationtest.File(t, "password", "T0PS3CRET"),
		From: "shipwarden@shop.example", At: "07:00", TimeZone: "Europe/Berlin",
	}
}
