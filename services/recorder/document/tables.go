package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// table writes a table of cells that are Markdown already.
func (w *writer) table(head []string, rows [][]string) {
	w.line("")
	if len(rows) == 0 {
		w.line("None.")
		return
	}
	w.line("| %s |", strings.Join(head, " | "))
	w.line("|%s", strings.Repeat(" --- |", len(head)))
	for _, r := range rows {
		for i := range r {
			if r[i] == "" {
				r[i] = "–"
			}
		}
		w.line("| %s |", strings.Join(r, " | "))
	}
}

// list writes texts that are not Markdown yet.
func (w *writer) list(all []string) {
	if len(all) == 0 {
		w.line("None.")
	}
	for _, s := range all {
		w.line("- %s", escape(s))
	}
}

// messages writes one row for every message, with the given fields as columns.
func (w *writer) messages(all []Message, columns ...string) {
	var rows [][]string
	for _, m := range all {
		fields := map[string]any{}
		if json.Unmarshal(m, &fields) != nil {
			continue
		}
		row := make([]string, 0, len(columns))
		for _, c := range columns {
			row = append(row, value(fields[c]))
		}
		rows = append(rows, row)
	}
	head := make([]string, 0, len(columns))
	for _, c := range columns {
		head = append(head, strings.ReplaceAll(c, "_", " "))
	}
	w.table(head, rows)
}

// entries writes what events said, one after the other, with all of their fields.
func (w *writer) entries(title string, all []Entry) {
	if title != "" {
		w.line("\n### %s", title)
	}
	w.line("")
	if len(all) == 0 {
		w.line("None.")
	}
	for _, e := range all {
		by := ""
		if e.By != "" {
			by = " by " + code(e.By)
		}
		w.line("- Event %d, %s: **%s**%s", e.Sequence, stamp(&e.Time), strings.ReplaceAll(e.Type, "_", " "), by)
		w.fields(e.Event, "  ")
	}
}

// fields writes a message as a list of its fields.
func (w *writer) fields(m Message, indent string) {
	var v any
	if json.Unmarshal(m, &v) != nil {
		return
	}
	w.nested(v, indent)
}

func (w *writer) nested(v any, indent string) {
	fields, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, k := range keys(fields) {
		switch x := fields[k].(type) {
		case map[string]any:
			w.line("%s- %s:", indent, name(k))
			w.nested(x, indent+"  ")
		case []any:
			if len(x) > 0 && !plain(x) {
				for i, element := range x {
					w.line("%s- %s %d: %s", indent, name(k), i+1, value(element))
				}
				continue
			}
			w.line("%s- %s: %s", indent, name(k), value(x))
		default:
			w.line("%s- %s: %s", indent, name(k), value(x))
		}
	}
}

// name is the name of a field; in a map it is somebody's text.
func name(k string) string { return escape(strings.ReplaceAll(k, "_", " ")) }

func plain(all []any) bool {
	return !slices.ContainsFunc(all, func(v any) bool {
		_, nested := v.(map[string]any)
		return nested
	})
}

// value is a value on one line, escaped.
func value(v any) string {
	switch x := v.(type) {
	case nil:
		return "–"
	case string:
		if strings.HasPrefix(x, "sha256:") {
			return code(x)
		}
		return escape(x)
	case []any:
		parts := make([]string, 0, len(x))
		for _, element := range x {
			parts = append(parts, value(element))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		parts := make([]string, 0, len(x))
		for _, k := range keys(x) {
			parts = append(parts, name(k)+": "+value(x[k]))
		}
		return strings.Join(parts, "; ")
	default:
		return escape(fmt.Sprint(x))
	}
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
