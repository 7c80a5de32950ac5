package preview_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/evidence"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAPreviewShowsNoSecret puts one into the command lines of the configuration, where
// none belongs: the preview is shown to approvers, and is on record for good.
func TestAPreviewShowsNoSecret(t *testing.T) {
	const secret = "hunter2hunter2"
	spill := func(c *configv1.Command) {
		c.Argv = append(c.Argv, "--password="+secret, "--api-token", secret, "https://deploy:"+secret+"@registry.example/shop")
	}
	host := sitetest.Host("eu1")
	command := sitetest.Command("eu1")
	for name, target := range map[string]sitetest.Target{
		"host": func(folder string) *configv1.TargetDriver {
			c := host(folder)
			spill(c.GetHost().GetRestart())
			return c
		},
		"command": func(folder string) *configv1.TargetDriver {
			c := command(folder)
			spill(c.GetCommand().GetDeploy())
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, target)
			w.Carries(t, "eu1", 1)
			s := previewed(t, w, w.Release(t))
			p := s.Preview("eu1")
			detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
			if err != nil || !bytes.Contains(detail, []byte("redacted")) || strings.Contains(string(detail)+p.String(), secret) {
				t.Errorf("%v: %q, %v", p, detail, err)
			}
		})
	}
}
