package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
)

func TestTheSignersFileNamesKeysOfPeople(t *testing.T) {
	key := func(name string) string { return strings.TrimSpace(sshsigtest.Public(sshsigtest.Key(t, name))) }
	for name, c := range map[string]struct{ text, fault string }{
		"two people":         {fmt.Sprintf("signers: [{person: anna, ssh: [%q]}, {person: ben, ssh: [%q]}]", key("anna"), key("ben")), ""},
		"nobody":             {"signers: []", "signers"},
		"no key":             {"signers: [{person: anna, ssh: [ssh-rsa AAAA]}]", "signers_file: signers[0].ssh[0]"},
		"one key of two":     {fmt.Sprintf("signers: [{person: anna, ssh: [%q]}, {person: ben, ssh: [%q]}]", key("anna"), key("anna")), "signers[1].ssh[0]"},
		"one person twice":   {fmt.Sprintf("signers: [{person: anna, ssh: [%q]}, {person: anna, ssh: [%q]}]", key("anna"), key("ben")), "signers[1].person"},
		"words of their own": {"signer: []", "signer"},
	} {
		path := filepath.Join(t.TempDir(), "signers.yaml")
		if err := os.WriteFile(path, []byte(c.text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		index, err := LoadSigners(path)
		if c.fault == "" && (err != nil || len(index.Person("anna").GetSigningKeys()) != 1) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if index, err := LoadSigners(""); index != nil || err != nil {
		t.Errorf("without a file: %v, %v", index, err)
	}
	if _, err := LoadSigners(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there demands nothing")
	}
}
