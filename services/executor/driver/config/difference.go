package config

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blackdice/shipwarden/internal/argv"
)

const (
	// maxShown bounds what is shown of a difference, in bytes, and maxValue one value of it.
	maxShown = 256 << 10
	maxValue = 2 << 10
)

// secretName is the name of something whose value nobody needs to see.
var secretName = regexp.MustCompile(`(?i)secret|token|passw|passphrase|credential|private|(?:api|access|signing|encryption|auth)[_-]?key|^key$|^pwd$|^auth$|dsn|connection[_-]?string`)

// hidden stands for such a value.
const hidden = "[redacted]"

// difference is what changes from one document to another, by places, one line each.
type difference struct {
	lines                   []string
	added, removed, changed int
}

// compare compares two documents. before is nil where there is none.
func compare(before, after []any) difference {
	var d difference
	if len(before) == 1 && len(after) == 1 {
		d.values("", false, before[0], after[0])
		return d
	}
	for i := range max(len(before), len(after)) {
		at := ""
		if len(before) > 1 || len(after) > 1 {
			at = fmt.Sprintf("document %d ", i+1)
		}
		switch {
		case i >= len(before):
			d.whole("+", at, false, after[i], &d.added)
		case i >= len(after):
			d.whole("-", at, false, before[i], &d.removed)
		default:
			d.values(at, false, before[i], after[i])
		}
	}
	return d
}

func (d *difference) values(at string, secret bool, before, after any) {
	a, isMap := before.(map[string]any)
	b, areMaps := after.(map[string]any)
	if isMap && areMaps && len(a) > 0 && len(b) > 0 {
		names := slices.Collect(maps.Keys(a))
		for name := range b {
			if _, there := a[name]; !there {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		about := aboutSecret(a) || aboutSecret(b)
		for _, name := range names {
			old, was := a[name]
			now, is := b[name]
			below, hide := at+"/"+step(name), secret || secretName.MatchString(name) ||
				about && (was && !saysSecret(name, old) || is && !saysSecret(name, now))
			switch {
			case !was:
				d.whole("+", below, hide, now, &d.added)
			case !is:
				d.whole("-", below, hide, old, &d.removed)
			default:
				d.values(below, hide, old, now)
			}
		}
		return
	}
	c, isList := before.([]any)
	e, areLists := after.([]any)
	if isList && areLists && len(c) > 0 && len(e) > 0 {
		for i := range max(len(c), len(e)) {
			below := at + "/" + strconv.Itoa(i)
			switch {
			case i >= len(c):
				d.whole("+", below, secret, e[i], &d.added)
			case i >= len(e):
				d.whole("-", below, secret, c[i], &d.removed)
			default:
				d.values(below, secret, c[i], e[i])
			}
		}
		return
	}
	if equal(before, after) {
		return
	}
	if hasLeaves(before) || hasLeaves(after) {
		// What is below has names by which a secret is known.
		d.whole("-", at, secret, before, &d.removed)
		d.whole("+", at, secret, after, &d.added)
		return
	}
	d.changed++
	d.lines = append(d.lines, fmt.Sprintf("~ %s: %s -> %s", root(at), shown(before, secret), shown(after, secret)))
}

// whole is a value that is there on one side alone, by its leaves.
func (d *difference) whole(sign, at string, secret bool, v any, count *int) {
	switch v := v.(type) {
	case map[string]any:
		about := aboutSecret(v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			d.whole(sign, at+"/"+step(name), secret || secretName.MatchString(name) || about && !saysSecret(name, v[name]), v[name], count)
		}
		if len(v) > 0 {
			return
		}
	case []any:
		for i, child := range v {
			d.whole(sign, at+"/"+strconv.Itoa(i), secret, child, count)
		}
		if len(v) > 0 {
			return
		}
	}
	*count++
	d.lines = append(d.lines, fmt.Sprintf("%s %s: %s", sign, root(at), shown(v, secret)))
}

// naming are the fields by which a map says what its other fields are about.
var naming = []string{"name", "key", "id"}

// saysSecret reports whether a field says that the others beside it are about a secret.
func saysSecret(name string, v any) bool {
	text, ok := v.(string)
	return ok && secretName.MatchString(text) && slices.ContainsFunc(naming, func(n string) bool { return strings.EqualFold(n, name) })
}

// aboutSecret reports whether a map says that it is about a secret, as in a list of variables:
// {name: DB_PASSWORD, value: ...}.
func aboutSecret(m map[string]any) bool {
	for name, v := range m {
		if saysSecret(name, v) {
			return true
		}
	}
	return false
}

func hasLeaves(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return false
}

func root(at string) string {
	if at == "" {
		return "/"
	}
	return strings.TrimSpace(at)
}

// step is a name within a place, as RFC 6901 has it, on one line.
func step(name string) string {
	name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

func equal(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(x) == string(y)
}

// shown is a value on one line, without what looks like a secret.
func shown(v any, secret bool) string {
	if secret && v != nil {
		return hidden
	}
	if text, ok := v.(string); ok {
		clean, _ := argv.Redact([]byte(text))
		v = string(clean)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return hidden
	}
	if len(out) > maxValue {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(string(out[:maxValue]), ""), len(out))
	}
	return string(out)
}

// summary is the difference in a few words.
func (d difference) summary() string {
	if len(d.lines) == 0 {
		return "no value differs"
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{d.changed, "changed"}, {d.added, "added"}, {d.removed, "removed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// text is all of it, as far as it is shown, and what was left out.
func (d difference) text() string {
	if len(d.lines) == 0 {
		return "no value differs: what differs is how they are written, such as comments, order, quotes or white space\n"
	}
	var out strings.Builder
	for i, line := range d.lines {
		if out.Len()+len(line) > maxShown {
			rest := strings.Join(d.lines[i:], "\n")
			fmt.Fprintf(&out, "… and %d more lines, together sha256:%x\n", len(d.lines)-i, sha256.Sum256([]byte(rest)))
			break
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
