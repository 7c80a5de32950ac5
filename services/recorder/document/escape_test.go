package document

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
)

func TestTextIsEscapedOnlyWhereItWouldMeanSomething(t *testing.T) {
	for text, want := range map[string]string{
		// Plain text stays as it was written.
		"version 1.0.0 (previous): a = b, c-d":    "version 1.0.0 (previous): a = b, c-d",
		"rolled_back at 21:41:06, 100 %; it's ok": "rolled_back at 21:41:06, 100 %; it's ok",
		"1.0.0 is live":                        "1.0.0 is live",
		"R&D said: no! {really?} ^ \"quoted\"": "R&D said: no! {really?} ^ \"quoted\"",
		`C:\dir\file`:                          `C:\dir\file`,
		"Grüße, 東京 ✔":                          "Grüße, 東京 ✔",
		"issue #7 - and + then":                "issue #7 - and + then",
		"":                                     "–",
		// Beginnings of lines.
		"# head":       `\# head`,
		"- item":       `\- item`,
		"+ item":       `\+ item`,
		"1. item":      `1\. item`,
		"12) item":     `12\) item`,
		"---":          `\---`,
		"===":          `\===`,
		": definition": `\: definition`,
		"    code":     "code",
		// Anywhere.
		"a | b":                      `a \| b`,
		"`code`":                     "\\`code\\`",
		"**bold** and *it*":          `\*\*bold\*\* and \*it\*`,
		"_it_ and __bold__":          `\_it\_ and \_\_bold\_\_`,
		"~~no~~":                     `\~\~no\~\~`,
		"[a](javascript:x)":          `\[a\]\(javascript\:x)`,
		"![a](b)":                    `!\[a\]\(b)`,
		"[^1] and [a][b]":            `\[^1\] and \[a\]\[b\]`,
		"<b>&lt;&#60;&amp;</b>":      "&lt;b&gt;&amp;lt;&amp;#60;&amp;amp;&lt;/b&gt;",
		"http://a.example":           `http\://a.example`,
		"see WWW.a.example":          `see WWW\.a.example`,
		"a@b.example":                `a\@b.example`,
		"mailto:a":                   `mailto\:a`,
		"$x$":                        `\$x\$`,
		`back\`:                      `back\\`,
		`\| \<`:                      `\\\| \\&lt;`,
		"a\nb\r\n\tc":                "a ↵ b ↵  c",
		"\x1b[31mred\x07":            `\\u001B\[31mred\\u0007`,
		"a\u202eb\u2066c\u200bd":     `a\\u202Eb\\u2066c\\u200Bd`,
		"a\u2028# b\u3164c":          `a\\u2028# b\\u3164c`,
		"tag\U000E0041 vs\U000E0100": `tag\\uE0041 vs\\uE0100`,
		"not UTF-8: \xff":            `not UTF-8: \\uFFFD`,
	} {
		if got := escape(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestWhatMachinesSayHasShortDigestsAndPlainAddresses(t *testing.T) {
	a := "sha256:aaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	b := "sha256:aaaaaaaaaaaacccccccccccccccccccccccccccccccccccccccccccccccccccc"
	for text, want := range map[string]string{
		"nothing -> " + a + ", restart":         "nothing → `aaaaaaaaaaaa`, restart",
		a + a:                                   "`aaaaaaaaaaaa` `aaaaaaaaaaaa`",
		"of https://slsa.dev/provenance/v1, ok": "of `https://slsa.dev/provenance/v1`, ok",
		"https://a.example/`x`|":                "`https://a.example/`\\`x\\`\\|",
		"https:// alone":                        `https\:// alone`,
		"# head " + a:                           "\\# head `aaaaaaaaaaaa`",
		"nothing of either":                     "nothing of either",
		// Two that begin alike are never shortened to the same.
		a + " and " + b: "`aaaaaaaaaaaa` and `" + b + "`",
	} {
		w := &writer{digests: digests{of: map[string]int{}, short: map[string]string{}}}
		if got := w.said(text, "here"); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestTimesReadWell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "0 ms",
		254 * time.Millisecond:        "254 ms",
		4016 * time.Millisecond:       "4 s",
		7820 * time.Millisecond:       "7.8 s",
		2*time.Minute + 5*time.Second: "2 min 5 s",
		8 * time.Hour:                 "8 h",
		26*time.Hour + time.Minute:    "26 h 1 min",
		74 * time.Hour:                "3 d 2 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v becomes %q, want %q", d, got, want)
		}
	}
	at := time.Date(2026, 3, 2, 10, 0, 0, 5_999_999, time.FixedZone("", 3600))
	if got, want := stamp(at), "2026-03-02 09:00:00.005 UTC"; got != want {
		t.Errorf("a time becomes %q, want %q", got, want)
	}
}

func TestThereAreWordsForEveryPhase(t *testing.T) {
	for _, p := range procedure.Phases() {
		if phases[p].words == "" || phases[p].step == "" {
			t.Errorf("there are no words for phase %s", p)
		}
	}
}
