package terminal

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is a table with a heading. Its cells are escaped when they are added, and
// its columns are as wide as they need to be: what a script reads from it does not
// hang on the width of somebody's window.
type Table struct {
	indent string
	rows   [][]string
}

// NewTable returns a table with these headings; none for a table without.
func NewTable(headings ...string) *Table {
	t := &Table{}
	if len(headings) > 0 {
		t.rows = append(t.rows, headings)
	}
	return t
}

// Indent sets what stands before each row.
func (t *Table) Indent(s string) *Table {
	t.indent = s
	return t
}

// Add adds a row. An empty cell is shown as "-", so that columns can be counted.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = Escape(cell)
		if row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// Head puts headings above the rows that are there.
func (t *Table) Head(headings ...string) *Table {
	t.rows = append([][]string{headings}, t.rows...)
	return t
}

// Len is the number of rows, the heading included.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the table. Nothing but the writer can fail.
func (t *Table) Write(w io.Writer) error {
	var text strings.Builder
	aligned := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(aligned, t.indent+strings.Join(row, "\t"))
	}
	if err := aligned.Flush(); err != nil {
		return fmt.Errorf("align a table: %w", err)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
