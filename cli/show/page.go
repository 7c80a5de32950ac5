package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
)

// page is text in sections, built up and written at once.
type page struct {
	text strings.Builder
}

// fields writes aligned "name: value" lines, leaving out those without a value.
func (p *page) fields(pairs ...[2]string) {
	t := terminal.NewTable()
	for _, f := range pairs {
		if f[1] != "" && f[1] != "-" {
			t.Add(f[0]+":", f[1])
		}
	}
	p.table("", t)
}

// table writes a section with a heading, its columns with theirs, and nothing where
// the table has no rows.
func (p *page) table(heading string, t *terminal.Table, columns ...string) {
	if t.Len() == 0 {
		return
	}
	if len(columns) > 0 {
		t.Head(columns...)
	}
	if heading != "" {
		p.heading(heading)
		t.Indent("  ")
	}
	_ = t.Write(&p.text) // a strings.Builder takes everything
}

func (p *page) heading(heading string) {
	p.text.WriteString("\n" + heading + "\n")
}

// prose writes a section of text that somebody wrote, line by line.
func (p *page) prose(heading, text string) {
	lines := terminal.Lines(text)
	if len(lines) == 0 {
		return
	}
	p.heading(heading)
	for _, line := range lines {
		p.text.WriteString(strings.TrimRight("  "+line, " ") + "\n")
	}
}

// line writes one line; its arguments must be escaped already.
func (p *page) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format+"\n", args...)
}

func (p *page) write(w io.Writer) error {
	_, err := io.WriteString(w, p.text.String())
	return err
}
