package cluster

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/argv"
)

var (
	// secretName is the name of something whose value nobody needs to see. What charts write as
	// checksum/config are digests of other objects, with the secrets in them.
	secretName = regexp.MustCompile(`(?i)secret|token|passw|passphrase|credential|private|(?:api|access|signing|encryption|auth)[_-]?key|^key$|^pwd$|^auth$|dsn|connection[_-]?string|last-applied-configuration|^checksum/`)
	// reference is the name of what says where a secret is, and not the secret.
	reference = regexp.MustCompile(`^(?:secretName|secretRef|secretKeyRef|imagePullSecrets|valueFrom|automountServiceAccountToken)$`)
)

// leaf is a value of a tree, in JSON.
type leaf struct {
	text   string
	secret bool
}

// shown is what people see of the value, and whether that is all of it. What stands for a secret
// begins in a way that the redaction of the whole text leaves alone.
func (l leaf) shown(secret bool) (text string, all bool) {
	if secret {
		return "a secret", false
	}
	if clean, n := argv.Redact([]byte(l.text)); n > 0 {
		return string(clean) + ", without its secret", false
	}
	return l.text, true
}

// leaves are the values of a tree by their paths.
func leaves(into map[string]leaf, path string, secret bool, value any) {
	switch v := value.(type) {
	case map[string]any:
		about := aboutSecret(path, v)
		for key, inner := range v {
			hide := !reference.MatchString(key) && (secret || secretName.MatchString(key) || about && !naming(key))
			leaves(into, strings.TrimPrefix(path+step(key), "."), hide, inner)
		}
		if len(v) > 0 || path == "" {
			return
		}
	case []any:
		for i, inner := range v {
			hide := secret
			if i > 0 {
				flag, _ := v[i-1].(string)
				hide = hide || strings.HasPrefix(flag, "-") && !strings.Contains(flag, "=") && secretName.MatchString(flag)
			}
			leaves(into, fmt.Sprintf("%s[%d]", path, i), hide, inner)
		}
		if len(v) > 0 {
			return
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		text = fmt.Append(nil, value)
	}
	into[path] = leaf{text: string(text), secret: secret}
}

// word is a name of a field that can be taken for nothing else in a path.
var word = regexp.MustCompile(`^[A-Za-z0-9_/-]+$`)

// step is the name of a field within a path. One that is more than a word is quoted: it could
// be taken for several fields, and hide what these have, or for a line of its own.
func step(key string) string {
	if word.MatchString(key) {
		return "." + key
	}
	return fmt.Sprintf("[%q]", key)
}

// naming reports whether a field says what the others beside it are about.
func naming(key string) bool {
	return slices.Contains([]string{"name", "key", "id"}, strings.ToLower(key))
}

// aboutSecret reports whether a map says that its values are about a secret, as a variable
// does: {name: DB_PASSWORD, value: ...}. The name of an object or of a container says nothing
// of the kind.
func aboutSecret(path string, m map[string]any) bool {
	if _, container := m["image"]; container || path == "metadata" || strings.HasSuffix(path, ".metadata") {
		return false
	}
	for key, value := range m {
		if text, ok := value.(string); ok && naming(key) && secretName.MatchString(text) {
			return true
		}
	}
	return false
}
