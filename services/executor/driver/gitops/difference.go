package gitops

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// difference says what becomes of each file: of manifests each value that changes, of others each
// line. A digest of all files before and after stands in the first lines, so that it differs where
// anything does, though nobody sees secrets: one that costs whoever would try them (cluster.Veil).
func (d *Driver) difference(plan driver.Plan, before, after map[string][]byte) string {
	veil := cluster.NewVeil(plan)
	veil.Hide(sum(before), sum(after))
	var out strings.Builder
	fmt.Fprintf(&out, "folder %s of %s\nfiles before and after: %s\n", d.path, d.repo, veil.Sum())
	all := maps.Clone(before)
	if all == nil {
		all = make(map[string][]byte)
	}
	maps.Copy(all, after)
	var created, changed, deleted, same int
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, was := before[name]
		now, is := after[name]
		verb := "change"
		switch {
		case !was:
			verb, created = "create", created+1
		case !is:
			verb, deleted = "delete", deleted+1
		case bytes.Equal(old, now):
			same++
			continue
		default:
			changed++
		}
		fmt.Fprintf(&out, "%s %s\n", verb, printable(name))
		if is {
			out.WriteString(within(name, old, now, veil))
		}
	}
	fmt.Fprintf(&out, "%d to create, %d to change, %d to delete, %d as they are\n", created, changed, deleted, same)
	return out.String()
}

// within says what changes in a file. The veil takes what is not shown; the first lines have it
// already.
func within(name string, old, now []byte, veil *cluster.Veil) string {
	before, ok := documents(name, old)
	after, too := documents(name, now)
	if ok && too {
		if values := cluster.Compare(name, named(before), named(after), veil); values != "" {
			return values
		}
		if len(old) > 0 {
			return "  comments, order, quotes or white space alone\n"
		}
		return "  nothing but comments\n"
	}
	if !utf8.Valid(old) || !utf8.Valid(now) {
		return fmt.Sprintf("  %d bytes that are no text\n", len(now))
	}
	return lines(strings.Split(string(old), "\n"), strings.Split(string(now), "\n"))
}

// named are documents by what they are: kind and name, or their place in the file.
func named(docs []any) map[string]any {
	out := make(map[string]any, len(docs))
	for i, doc := range docs {
		key := fmt.Sprintf("document %d", i+1)
		if o, ok := doc.(map[string]any); ok {
			meta, _ := o["metadata"].(map[string]any)
			kind, _ := o["kind"].(string)
			if name, ok := meta["name"].(string); ok && kind != "" {
				key = kind + " " + name
				if space, ok := meta["namespace"].(string); ok {
					key = kind + " " + space + "/" + name
				}
			}
		}
		if _, twice := out[key]; twice {
			key = fmt.Sprintf("%s, document %d", key, i+1)
		}
		out[key] = doc
	}
	return out
}

// lines are those between what both begin and end with.
func lines(old, now []string) string {
	head := 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	var out strings.Builder
	for i, line := range old[head : len(old)-tail] {
		fmt.Fprintf(&out, "  %d - %s\n", head+i+1, printable(line))
	}
	for i, line := range now[head : len(now)-tail] {
		fmt.Fprintf(&out, "  %d + %s\n", head+i+1, printable(line))
	}
	return out.String()
}

// printable is a line that makes no other of itself.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029') {
			return '?'
		}
		return r
	}, line)
}

func orNothing(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return digest
}
