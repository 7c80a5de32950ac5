package argv

import (
	"fmt"
	"strings"
	"testing"
)

// The secrets are put together here, so that no scanner takes this file for a leak.
func TestSecretsAreRemoved(t *testing.T) {
	aws := "AKIA" + strings.Repeat("A1B2", 4)
	jwt := "eyJ" + strings.Repeat("hbGciOi", 2) + ".eyJzdWIiOiIxMjM0" + ".c2lnbmF0dXJl"
	github := "ghp_" + strings.Repeat("a1B2c3", 6)
	key := "-----BEGIN EC PRIVATE " + "KEY-----\nMHcCAQEE\nIBb\n-----END EC PRIVATE " + "KEY-----"
	seed := "SU" + strings.Repeat("A", 56)
	for _, test := range []struct {
		name, text, secret, stays string
	}{
		{"AWS key id", "key " + aws + " used", aws, " used"},
		{"AWS secret key", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalr", "aws_secret_access_key = "},
		{"JWT", "token is " + jwt + ".", jwt, "token is "},
		{"bearer token", "Authorization: Bearer abc.def-123456", "abc.def", "Authorization: Bearer "},
		{"basic authentication", "authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "authorization: basic "},
		{"GitHub token", "cloning with " + github, github, "cloning with "},
		{"private key", "before\n" + key + "\nafter", "MHcCAQEE", "\nafter"},
		{"private key without its end", "before\n" + key[:40], "MHcC", "before\n"},
		{"private key without its beginning", key[20:] + "\nafter", "IBb", "\nafter"},
		{"NATS seed", "seed " + seed, seed, "seed "},
		{"password in a URL", "postgres://shop:hunter2@db:5432/shop", "hunter2", "@db:5432/shop"},
		{"password by name", `{"password": "hunter2xyz"}`, "hunter2", `{"password": "`},
		{"argument after its name", "shopctl --db-password hunter2xyz --now", "hunter2", " --now"},
		{"quoted argument after its name", `["shopctl" "-token" "hunter2xyz" "now"]`, "hunter2", `"now"]`},
		{"variable by name", "DB_PASSWORD=hunter2xyz", "hunter2", "DB_PASSWORD="},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, n := Redact([]byte(test.text))
			if strings.Contains(string(got), test.secret) || n == 0 || !strings.Contains(string(got), test.stays) {
				t.Errorf("%d redacted, got %q", n, got)
			}
		})
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		"deployed sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 in 3 s",
		"https://registry.example/shop/web:1.2.3", "user@example.com", "tokens used: 3", "refresh-token used: 3", "--token --verbose", "basic checks passed", "",
	} {
		if got, n := Redact([]byte(text)); string(got) != text || n != 0 {
			t.Errorf("%q became %q, %d redacted", text, got, n)
		}
	}
}

func TestASecretAtTheCutIsNotSplit(t *testing.T) {
	secret := "password=correct-horse-battery-staple"
	for shift := 0; shift < 64; shift += 7 {
		c := newCollector()
		fmt.Fprint(c, strings.Repeat("a", half-nearLine/2-shift), "\n", strings.Repeat("b", nearLine/2-16), " ", secret, "\n")
		fmt.Fprint(c, strings.Repeat("c\n", half))
		o := c.output()
		if strings.Contains(string(o.Text), "battery-staple") || strings.Contains(string(o.Text), "correct") {
			t.Fatalf("shifted by %d: the secret is there", shift)
		}
	}
}

func TestLastLineIsFitForAMessage(t *testing.T) {
	o := Output{Text: []byte("one\n\x1b[31mred\x1b[0m \xff and\ttab\r\n\n")}
	if got := o.LastLine(); got != "[31mred[0m  andtab" {
		t.Errorf("got %q", got)
	}
	if got := (Output{Text: []byte(strings.Repeat("ä", 300))}).LastLine(); len(got) > 256 {
		t.Errorf("%d bytes", len(got))
	}
}
