package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// mutant is one mistake.
type mutant struct {
	name string
	file string
	// line is where it stands in the list.
	line  int
	edits []edit
}

// edit replaces a text by another.
type edit struct{ from, to string }

// parse reads a list of mistakes; the errors name lines.
func parse(text string) ([]mutant, error) {
	var all []mutant
	var errs []error
	names := map[string]bool{}
	added := false // Whether the newest edit has its "+" already.
	scanner := bufio.NewScanner(strings.NewReader(text))
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		if name, ok := strings.CutPrefix(line, "mutant "); ok {
			if names[name] {
				errs = append(errs, fmt.Errorf("line %d: mutant %q is there twice", n, name))
			}
			names[name] = true
			all = append(all, mutant{name: name, line: n})
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(all) == 0 {
			errs = append(errs, fmt.Errorf("line %d: stands before the first mutant", n))
			continue
		}
		m := &all[len(all)-1]
		switch {
		case strings.HasPrefix(line, "file "):
			m.file = strings.TrimPrefix(line, "file ")
		case strings.HasPrefix(line, "-"):
			if len(m.edits) == 0 || added {
				m.edits = append(m.edits, edit{})
				added = false
			}
			e := &m.edits[len(m.edits)-1]
			e.from = join(e.from, line[1:])
		case strings.HasPrefix(line, "+") && len(m.edits) > 0:
			e := &m.edits[len(m.edits)-1]
			e.to = join(e.to, line[1:])
			added = true
		default:
			errs = append(errs, fmt.Errorf("line %d: %q is no part of a mutant", n, line))
		}
	}
	for _, m := range all {
		if m.file == "" || len(m.edits) == 0 {
			errs = append(errs, fmt.Errorf("line %d: mutant %q has no file, or changes nothing", m.line, m.name))
		}
	}
	return all, errors.Join(append(errs, scanner.Err())...)
}

func join(text, line string) string {
	if text == "" {
		return line
	}
	return text + "\n" + line
}

// apply makes the mistake in the source.
func (m mutant) apply(source string) (string, error) {
	for _, e := range m.edits {
		if n := strings.Count(source, e.from); n != 1 {
			return "", fmt.Errorf("%s holds %d times, not once:\n%s", m.file, n, e.from)
		}
		changed := strings.Replace(source, e.from, e.to, 1)
		if changed == source {
			return "", fmt.Errorf("nothing is changed in %s", m.file)
		}
		source = changed
	}
	return source, nil
}
