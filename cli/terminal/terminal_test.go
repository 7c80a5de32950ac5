package terminal_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/shaketest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestEscape(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain text stays", `Größe 1.4 "x" \n 日本 ✓`, `Größe 1.4 "x" \n 日本 ✓`},
		{"escape sequence", "\x1b[31mred", `\x1b[31mred`},
		{"line ends", "a\r\nb", `a\r\nb`},
		{"tab, bell, NUL", "\t\a\x00", `\t\a\x00`},
		{"C1 control", "\u009b31m", `\u009b31m`},
		{"right to left", "\u202etxt.exe", `\u202etxt.exe`},
		{"without width", "ad\u200bmin", `ad\u200bmin`},
		{"no UTF-8", "a\xffb", "a\ufffdb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := terminal.Escape(test.in); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzNothingIsObeyed(f *testing.F) {
	shaketest.Add(f, "\x1b]0;title\x07")
	shaketest.Add(f, "a\xc2\x9bb\u2028")
	f.Fuzz(func(t *testing.T, in string) {
		out := terminal.Escape(in) + strings.Join(terminal.Lines(in), "")
		for _, r := range out {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u2028' {
				t.Fatalf("%q became %q", in, out)
			}
		}
		if terminal.Escape(terminal.Escape(in)) != terminal.Escape(in) {
			t.Fatalf("%q is escaped twice", in)
		}
	})
}

func TestLines(t *testing.T) {
	got := terminal.Lines("+ a\r\n\t- \x1b[2Jb\n\n")
	if len(got) != 2 || got[0] != "+ a" || got[1] != `    - \x1b[2Jb` {
		t.Errorf("got %q", got)
	}
	if terminal.Lines("\n") != nil {
		t.Error("an empty text has lines")
	}
}

func TestTableKeepsItsColumns(t *testing.T) {
	table := terminal.NewTable("NAME", "WHAT").Indent("  ")
	table.Add("größer", "x\ty\nz")
	table.Add("a", "")
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := "  NAME     WHAT\n  größer   x\\ty\\nz\n  a        -\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestWordsAndTimes(t *testing.T) {
	if got := terminal.Word(releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES, "OUTCOME_"); got != "succeeded-with-issues" {
		t.Errorf("got %q", got)
	}
	if got := terminal.Word(releasev1.Outcome(0), "OUTCOME_"); got != "-" {
		t.Errorf("no outcome is %q", got)
	}
	if got := terminal.Time(nil); got != "-" {
		t.Errorf("no time is %q", got)
	}
	if got := terminal.Time(&timestamppb.Timestamp{Seconds: 1 << 62}); got != "-" {
		t.Errorf("an impossible time is %q", got)
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		width int
		want  string
	}{{0, "größer"}, {6, "größer"}, {5, "größ…"}, {1, "…"}} {
		if got := terminal.Cut("größer", test.width); got != test.want || test.width > 0 && utf8.RuneCountInString(got) > test.width {
			t.Errorf("width %d: got %q, want %q", test.width, got, test.want)
		}
	}
}

func TestJSONIsOneFormAndHarmless(t *testing.T) {
	m := &recorderv1.Release{Release: "shop", Summary: "\u009b\u202e\x7f<ü>", LastSequence: 3}
	var first bytes.Buffer
	if err := terminal.WriteJSON(&first, m); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"release\": \"shop\",\n  \"summary\": \"\\u009b\\u202e\\u007f<ü>\",\n  \"last_sequence\": \"3\"\n}\n"
	if first.String() != want {
		t.Errorf("got %s want %s", first.String(), want)
	}
	var back map[string]string
	if err := json.Unmarshal(first.Bytes(), &back); err != nil || back["summary"] != m.GetSummary() {
		t.Errorf("reads back as %q, %v", back["summary"], err)
	}
}

func TestAnEmptyListIsAList(t *testing.T) {
	for want, m := range map[string]proto.Message{
		"{\n  \"releases\": []\n}\n":                               &recorderv1.ListReleasesResponse{},
		"{\n  \"releases\": [],\n  \"as_of_sequence\": \"7\"\n}\n": &recorderv1.ListReleasesResponse{AsOfSequence: 7},
		"{}\n": &recorderv1.Release{},
	} {
		var out bytes.Buffer
		if err := terminal.WriteJSON(&out, m); err != nil || out.String() != want {
			t.Errorf("got %s, %v, want %s", out.String(), err, want)
		}
	}
}

func TestPaintIsOffByDefault(t *testing.T) {
	if got := (terminal.Paint{}).Red("x"); got != "x" {
		t.Errorf("got %q", got)
	}
	if got := (terminal.Paint{On: true}).Red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
}
