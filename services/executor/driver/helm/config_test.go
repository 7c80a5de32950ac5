package helm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestWhatChartsMayLookUpIsNamed one by one: no pattern, no other namespace, none twice, and the field
// that is at fault is named.
func TestWhatChartsMayLookUpIsNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "helm.yaml")
	var crowd []string
	for i := range 33 {
		crowd = append(crowd, fmt.Sprintf("secret-%d", i))
	}
	for names, field := range map[string]string{
		"[database, queue-tls.v1]":            "",
		`["*"]`:                               "lookup_secrets[0]",
		"[database, payments/database]":       "lookup_secrets[1]",
		"[Database]":                          "lookup_secrets[0]",
		"['']":                                "lookup_secrets[0]",
		"[database.]":                         "lookup_secrets[0]",
		"[database, database]":                "lookup_secrets",
		"[" + strings.Repeat("a", 254) + "]":  "lookup_secrets[0]",
		"[" + strings.Join(crowd, ", ") + "]": "lookup_secrets",
	} {
		if err := os.WriteFile(file, []byte("kubeconfig_file: /kubeconfig\nnamespace: shop\nlookup_secrets: "+names+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := service.LoadConfig(file, &configv1.HelmDriver{})
		if (err == nil) != (field == "") || err != nil && (!errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), field+":")) {
			t.Errorf("%.60s: %v, want %q to be named", names, err, field)
		}
	}
}
