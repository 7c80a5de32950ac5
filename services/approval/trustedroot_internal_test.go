package approval

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

func TestTheTrustedRootIsTheOneThatTheDocumentNames(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, garbage := sigstoretest.New(t).Root(t), []byte("{}")
	good := file("root.json", root)
	for _, test := range []struct{ name, names, file, want string }{
		{"none is named", "", good, ""},
		{"the one that is named", policy.Digest(root), good, ""},
		{"no file", policy.Digest(root), "", "sigstore_root_file: required"},
		{"a file that is not there", policy.Digest(root), filepath.Join(dir, "none"), "sigstore_root_file: open"},
		{"another file", policy.Digest(root), file("other.json", sigstoretest.New(t).Root(t)), "and the procedure document names " + policy.Digest(root)},
		{"no root", policy.Digest(garbage), file("garbage.json", garbage), "unusable trusted root"},
	} {
		doc := &policyv1.Procedure{}
		if test.names != "" {
			doc.Sigstore = &policyv1.Sigstore{TrustedRoot: test.names}
		}
		data, err := trustedRoot(&configv1.Approval{SigstoreRootFile: test.file}, doc)
		switch {
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		case test.want == "" && (err != nil || (string(data) == string(root)) != (test.names != "")):
			t.Errorf("%s: %d bytes, %v", test.name, len(data), err)
		}
	}
}
