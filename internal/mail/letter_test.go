package mail_test

import (
	"io"
	"mime"
	"mime/quotedprintable"
	nettext "net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/internal/shaketest"
)

func letter(subject, text string) mail.Letter {
	return mail.Letter{
		From: "shipwarden@example.com", To: "anna", Key: "digest/2026-12-01/anna", Time: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC),
		Subject: subject, Text: text,
	}
}

// FuzzLetter has people write anything: it stays in the subject's line and in the text, and
// the relay is told no line that is longer than it takes.
func FuzzLetter(f *testing.F) {
	shaketest.Add(f, "Größe\r\nBcc: eve@evil.example", "line\r\n.\r\nMAIL FROM:<eve@evil.example>\n")
	shaketest.Add(f, "a\u2028b\u0085c", strings.Repeat("x", 3000))
	shaketest.Add(f, "\x00\xff\u202e", "\n.\n")
	shaketest.Add(f, strings.Repeat("発売", 200), "")
	shaketest.Add(f, "a?= =?utf-8?q?b?= =?c", "")
	f.Fuzz(func(t *testing.T, subject, text string) {
		raw, err := letter(subject, text).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := nettext.ReadMessage(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Header) != 9 || got.Header.Get("To") != "anna:;" || got.Header.Get("Message-Id") != mail.MessageID("digest/2026-12-01/anna") {
			t.Errorf("header %v", got.Header)
		}
		shown, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
		if err != nil || shown != mail.Line(subject, 256) || strings.ContainsAny(shown, "\r\n") || utf8.RuneCountInString(shown) > 257 {
			t.Errorf("subject %q, %v", shown, err)
		}
		for l := range strings.SplitSeq(string(raw), "\r\n") {
			if len(l) > 998 || strings.ContainsAny(l, "\r\n") {
				t.Errorf("a line of %d bytes: %q", len(l), l)
			}
		}
		back, err := io.ReadAll(quotedprintable.NewReader(got.Body))
		if err != nil || strings.ReplaceAll(string(back), "\r\n", "\n") != strings.ReplaceAll(text, "\r\n", "\n")+"\n" && !strings.Contains(text, "\r") {
			t.Errorf("text %q, %v", back, err)
		}
	})
}

func TestALetterIsTheSameBytesEveryTime(t *testing.T) {
	one, err := letter("s", "t").Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := letter("s", "t").Bytes(); string(one) != string(two) {
		t.Errorf("%q and %q", one, two)
	}
}

func TestTheNameOfAGroupStaysOne(t *testing.T) {
	for name, want := range map[string]string{
		"anna": "anna:;", "on-call_2": "on-call_2:;", "anna.b": `"anna.b":;`, "": `"":;`, "a\r\nBcc: eve@evil.example": `"a Bcc: eve@evil.example":;`, `a", <x@y>`: `"a?, <x@y>":;`, "Größe": `"Gr??e":;`,
	} {
		l := letter("s", "t")
		l.To = name
		raw, err := l.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := nettext.ReadMessage(strings.NewReader(string(raw)))
		if err != nil || got.Header.Get("To") != want || len(got.Header) != 9 {
			t.Errorf("%q: %v, %v", name, got.Header, err)
		}
		if _, err := got.Header.AddressList("To"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
