//go:build terraform

package terraform_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func TestACredentialThatIsQuotedInATitleIsNotShown(t *testing.T) {
	folder := t.TempDir()
	c := config(folder)
	c.Binary = wrapped(t, folder)
	text, err := os.ReadFile(c.GetBinary())
	if err == nil {
		failing := strings.Replace(string(text), "exec ", "[ $1 != apply ] || { echo \"Error: the key $SHOP_KEY is refused\" >&2; exit 1; }\nexec ", 1)
		err = errors.Join(os.WriteFile(c.GetBinary(), []byte(failing), 0o700), os.WriteFile(filepath.Join(folder, "write"), []byte("may write\n"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	c.ApplyCredentials = []*configv1.TerraformCredential{{Env: "SHOP_KEY", File: filepath.Join(folder, "write")}}
	_, err = release(t, open(t, c, options(nil)), 1, plan(1, two("a", false)))
	if err == nil || strings.Contains(err.Error(), "may write") || !strings.Contains(err.Error(), "the key [credential SHOP_KEY] is refused") {
		t.Errorf("got %v", err)
	}
}
