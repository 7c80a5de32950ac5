package target

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzDigest has targets that answer with any bytes what they run: it is a digest, and the
// one that every reader finds, or an error.
func FuzzDigest(f *testing.F) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, seed := range []string{
		digest, " " + digest + "\n", `{"digest":"` + digest + `"}`, `{"digest":"` + digest + `","digest":"` + digest + `"}`,
		`{"a":{"digest":1},"digest":null}`, `{"Digest":"` + digest + `"}`, `{`, `[]`, ``, `{"digest":"` + digest + `"} x`, "{\"digest\"\x00:1}",
	} {
		shaketest.Add(f, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readDigest(body)
		if err != nil {
			if got != "" {
				t.Errorf("%q beside %v", got, err)
			}
			return
		}
		if !digestForm.MatchString(got) || !strings.Contains(string(body), got[len("sha256:"):]) && !strings.Contains(string(body), `\u`) {
			t.Errorf("%q of %q", got, body)
		}
		var object map[string]any
		if trimmed := strings.TrimSpace(string(body)); trimmed != got && (json.Unmarshal(body, &object) != nil || object["digest"] != got) {
			t.Errorf("%q, where another reader finds %v", got, object["digest"])
		}
	})
}
