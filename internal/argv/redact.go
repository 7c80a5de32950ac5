package argv

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
)

// secrets are what gives a secret away by its form. The first group, where there
// is one, stays: it says what was removed. Only where the text has one of the
// hints, which are in lower case, is the pattern tried: most output has none, and
// patterns are slow.
var secrets = []struct {
	name    string
	hints   []string
	pattern *regexp.Regexp
}{
	// A block without its end, or without its beginning, was cut.
	{"private key", []string{"private key"}, regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)`)},
	{"private key", []string{"private key"}, regexp.MustCompile(`(?s)\A.*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)},
	{"JWT", []string{"eyj"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)},
	{"AWS key id", []string{"akia", "asia", "abia", "acca", "aroa", "aida"}, regexp.MustCompile(`\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b`)},
	{"GitHub token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})`)},
	{"GitLab token", []string{"glpat-"}, regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{16,}`)},
	{"Slack token", []string{"xox"}, regexp.MustCompile(`\bxox[abeprs]-[A-Za-z0-9-]{10,}`)},
	{"Slack webhook", []string{"hooks.slack.com"}, regexp.MustCompile(`https://hooks\.slack\.com/services/[A-Za-z0-9/_-]+`)},
	{"Google key", []string{"aiza"}, regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{35}`)},
	{"NATS seed", []string{"sa", "sn", "so", "su", "sc", "sx"}, regexp.MustCompile(`\bS[ANOUCX][A-Z2-7]{56}\b`)},
	{"bearer token", []string{"bearer", "basic"}, regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`)},
	{"password in URL", []string{"://"}, regexp.MustCompile(`(\b[a-z][a-z0-9+.-]{1,30}://[^\s/:@]{0,256}:)[^\s/@]+(?:@)`)},
	// As two arguments, quoted or not.
	{"secret", []string{"key", "secret", "token", "passw"}, regexp.MustCompile(`(?i)((?:^|[\s"'\[])--?(?:[a-z0-9]+[_-])*(?:secret|token|password|passwd|(?:api|access|secret)[_-]?key)["']?\s+["']?)[^\s"',;-][^\s"',;]{3,}`)},
	{"secret", []string{"key", "secret", "token", "passw"}, regexp.MustCompile(`(?i)((?:secret[_-]?access[_-]?key|secret[_-]?key|client[_-]?secret|api[_-]?key|access[_-]?token|auth[_-]?token|refresh[_-]?token|password|passwd|secret|token)["']?\s*[=:]\s*["']?)[^\s"',;]{4,}`)},
}

// Redact removes what looks like a secret from a command's output and counts what
// it removed. It knows forms, not meanings: a secret without a form of its own and
// without a name beside it stays.
func Redact(text []byte) ([]byte, int) {
	count, lower := 0, bytes.ToLower(text)
	for _, s := range secrets {
		if !slices.ContainsFunc(s.hints, func(hint string) bool { return bytes.Contains(lower, []byte(hint)) }) {
			continue
		}
		mark := []byte("[redacted " + s.name + "]")
		text = s.pattern.ReplaceAllFunc(text, func(match []byte) []byte {
			groups := s.pattern.FindSubmatch(match)
			if len(groups) == 2 && bytes.HasPrefix(match, groups[1]) {
				if bytes.HasPrefix(match[len(groups[1]):], []byte("[redacted")) {
					return match
				}
				count++
				if s.name == "password in URL" {
					return fmt.Appendf(nil, "%s%s@", groups[1], mark)
				}
				return fmt.Appendf(nil, "%s%s", groups[1], mark)
			}
			count++
			return mark
		})
	}
	return text, count
}
