package validator_test

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator"
)

func TestWhatTheConfigurationNamesIsThere(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*configv1.Validator)
		fields []string
	}{
		{"nothing", func(*configv1.Validator) {}, nil},
		{"the keyring", func(c *configv1.Validator) { c.Common.KeyringFile = "/none" }, []string{"common.keyring_file"}},
		{"the folder and a password", func(c *configv1.Validator) {
			c.ArtifactFolder, c.Registries = "/none", []*configv1.Registry{{Host: "a", PasswordFile: "/none"}}
		}, []string{"artifact_folder", "registries[0].password_file"}},
		{"a program", func(c *configv1.Validator) {
			c.Commands = []*configv1.CheckCommand{{Name: "a", Run: &configv1.Command{Argv: []string{"/none/look"}}, FailStatus: 2}}
		}, []string{"commands[0].run.argv[0]"}},
		{"how the bucket of a document is reached", func(c *configv1.Validator) {
			c.Targets = []*configv1.TargetAddress{{Target: "eu1", Config: &configv1.ConfigEntry{
				Nats: &configv1.Nats{Urls: []string{"http://config-0"}, CredentialsFile: "/none"}, Bucket: "limits", Key: "shop",
			}}}
		}, []string{"targets[0].config.nats.urls[0]", "targets[0].config.nats.credentials_file"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := &configv1.Validator{Common: stationtest.Common(t, procedure.ServiceValidator), ArtifactFolder: t.TempDir()}
			test.change(cfg)
			stationtest.Named(t, validator.Check(cfg), test.fields...)
		})
	}
}
