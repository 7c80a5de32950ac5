package backstage

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blackdice/shipwarden/internal/shape"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// File is one file of a catalog.
type File struct {
	Name string
	Data []byte
}

// Names that a procedure document allows.
var (
	serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	personID    = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)
)

// ignored are the kinds of which a procedure document knows nothing.
var ignored = []string{"System", "Domain", "Resource", "Location", "Template"}

// Import turns a catalog into the people, groups and services of a procedure document, in
// the order of the files, and says what it left out. An error is Problems, with all that
// is wrong.
func Import(files ...File) (*policyv1.Procedure, []string, error) {
	r := &reader{}
	for _, f := range files {
		r.read(f.Name, f.Data)
	}
	c := &catalog{reader: r, byRef: map[string]*entity{}, document: &policyv1.Procedure{}}
	for _, e := range r.entities {
		c.register(e)
	}
	for _, e := range r.entities {
		c.take(e)
	}
	c.membership()
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int {
			if a.File != b.File {
				return strings.Compare(a.File, b.File)
			}
			return a.Line - b.Line
		})
		return nil, nil, r.problems
	}
	return c.document, c.notes, nil
}

type catalog struct {
	*reader

	byRef    map[string]*entity // by "kind:name", in lower case
	document *policyv1.Procedure
	notes    []string
}

func (c *catalog) wrongAt(e *entity, line int, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: e.file, Line: max(line, 1), Message: fmt.Sprintf(format, args...)})
}

func (c *catalog) note(e *entity, format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf("%s:%d: ", e.file, max(e.line, 1))+fmt.Sprintf(format, args...))
}

// service reports whether an entity is a service of a procedure document.
func service(e *entity) bool { return e.kind == "Component" || e.kind == "API" }

// register makes an entity known to references. Names live in one namespace here.
func (c *catalog) register(e *entity) {
	if ns := e.namespace.value; ns != "" && ns != "default" {
		c.wrongAt(e, e.namespace.line, "namespace %q: a procedure document has one namespace, so only \"default\" can be imported", ns)
		return
	}
	pattern, what := serviceName, "a lower-case letter, then lower-case letters, digits and -, at most 40"
	switch {
	case service(e), e.kind == "Group":
	case e.kind == "User":
		pattern, what = personID, "a lower-case letter, then lower-case letters, digits and . _ -, at most 64"
	case slices.Contains(ignored, e.kind):
		pattern = nil
	default:
		if e.kind != "" {
			c.wrongAt(e, e.line, "kind %q is none of Backstage's", e.kind)
		}
		return
	}
	if e.name.value == "" {
		return // said already
	}
	if pattern != nil && !pattern.MatchString(e.name.value) {
		c.wrongAt(e, e.name.line, "name %q cannot be used in a procedure document: %s", e.name.value, what)
		return
	}
	refs := []string{strings.ToLower(e.kind) + ":" + strings.ToLower(e.name.value)}
	if service(e) {
		refs = append(refs, "service:"+e.name.value) // a component and an API would be one service
	}
	for _, ref := range refs {
		if first := c.byRef[ref]; first != nil {
			c.wrongAt(e, e.name.line, "%q is there already, in %s:%d", e.name.value, first.file, first.line)
			return
		}
	}
	for _, ref := range refs {
		c.byRef[ref] = e
	}
	for _, t := range []struct {
		what string
		text text
		most int
	}{{"metadata.title", e.title, 256}, {"spec.profile.displayName", e.display, 128}} {
		if len(t.text.value) > t.most || t.text.value != "" && shape.Blank(t.text.value) {
			c.wrongAt(e, t.text.line, "%s is blank, or longer than %d bytes", t.what, t.most)
		}
	}
}

// find follows a reference, [kind:][namespace/]name. The second result says whether it is
// of a kind that a procedure document does not know.
func (c *catalog) find(from *entity, ref text, kind string) (found *entity, skip bool) {
	rest := ref.value
	if k, after, ok := strings.Cut(rest, ":"); ok {
		kind, rest = strings.ToLower(k), after
	}
	if ns, after, ok := strings.Cut(rest, "/"); ok {
		if !strings.EqualFold(ns, "default") {
			c.wrongAt(from, ref.line, "%q leads to namespace %q: only \"default\" can be imported", ref.value, ns)
			return nil, false
		}
		rest = after
	}
	if found = c.byRef[kind+":"+strings.ToLower(rest)]; found != nil {
		return found, slices.Contains(ignored, found.kind)
	}
	if slices.ContainsFunc(ignored, func(k string) bool { return strings.EqualFold(k, kind) }) {
		return nil, true
	}
	c.wrongAt(from, ref.line, "%q leads nowhere in these files", ref.value)
	return nil, false
}

// take turns one entity into its part of the document.
func (c *catalog) take(e *entity) {
	switch {
	case service(e):
		c.service(e)
	case e.kind == "Group":
		g := &policyv1.Group{Name: e.name.value}
		g.Contacts = c.contacts(e)
		for _, m := range e.members {
			if p, _ := c.find(e, m, "user"); p != nil && p.kind == "User" {
				g.Members = append(g.Members, p.name.value)
			} else if p != nil {
				c.wrongAt(e, m.line, "%q is no user", m.value)
			}
		}
		c.document.Groups = append(c.document.Groups, g)
	case e.kind == "User":
		p := &policyv1.Person{Id: e.name.value, Name: e.display.value, Contacts: c.contacts(e)}
		if p.GetName() == "" {
			p.Name = e.name.value
		}
		if e.mail.value != "" {
			p.Aliases = []string{e.mail.value}
		}
		c.document.People = append(c.document.People, p)
	default:
		if slices.Contains(ignored, e.kind) {
			c.note(e, "%s %s is not imported: a procedure document has none", e.kind, e.name.value)
		}
	}
}

func (c *catalog) service(e *entity) {
	s := &policyv1.Service{Name: e.name.value, Title: e.title.value}
	if e.owner.value == "" {
		c.wrongAt(e, max(e.owner.line, e.line), "spec.owner is missing: somebody has to own %s", e.name.value)
	} else if owner, skip := c.find(e, e.owner, "group"); owner != nil {
		switch owner.kind {
		case "Group":
			s.OwnerGroups = []string{owner.name.value}
		case "User":
			s.Owners = []string{owner.name.value}
		default:
			c.wrongAt(e, e.owner.line, "%q is neither a group nor a user", e.owner.value)
		}
	} else if skip {
		c.wrongAt(e, e.owner.line, "%q is neither a group nor a user", e.owner.value)
	}
	if e.tier.value != "" {
		tier, err := strconv.ParseUint(e.tier.value, 10, 32)
		if err != nil || tier < 1 || tier > 4 {
			c.wrongAt(e, e.tier.line, "annotation %s is %q, must be 1 to 4", TierAnnotation, e.tier.value)
		}
		s.Tier = uint32(tier)
	}
	for i, refs := range [][]text{e.dependsOn, e.consumes} {
		for _, ref := range refs {
			other, skip := c.find(e, ref, []string{"component", "api"}[i])
			switch {
			case skip:
				c.note(e, "%s depends on %s, which is not imported: a procedure document has services only", e.name.value, ref.value)
			case other == nil:
			case !service(other):
				c.wrongAt(e, ref.line, "%q is no component and no API", ref.value)
			case other == e:
				c.wrongAt(e, ref.line, "%s depends on itself", e.name.value)
			case !slices.Contains(s.GetDependencies(), other.name.value):
				s.Dependencies = append(s.Dependencies, other.name.value)
			}
		}
	}
	c.document.Services = append(c.document.Services, s)
}

func (c *catalog) contacts(e *entity) []*policyv1.Contact {
	if e.mail.value == "" {
		return nil
	}
	if len(e.mail.value) > 256 || strings.ContainsAny(e.mail.value, " \t\r\n") || !strings.Contains(e.mail.value, "@") {
		c.wrongAt(e, e.mail.line, "spec.profile.email is %q, which is no mail address", e.mail.value)
		return nil
	}
	return []*policyv1.Contact{{Kind: policyv1.Contact_KIND_MAIL, Address: e.mail.value}}
}

// membership adds to groups those who say of themselves that they are in them.
func (c *catalog) membership() {
	groups := map[string]*policyv1.Group{}
	for _, g := range c.document.GetGroups() {
		groups[g.GetName()] = g
	}
	for _, e := range c.entities {
		if e.kind != "User" {
			continue
		}
		for _, ref := range e.memberOf {
			found, _ := c.find(e, ref, "group")
			if found == nil {
				continue
			}
			if found.kind != "Group" {
				c.wrongAt(e, ref.line, "%q is no group", ref.value)
				continue
			}
			if g := groups[found.name.value]; g != nil && !slices.Contains(g.GetMembers(), e.name.value) {
				g.Members = append(g.Members, e.name.value)
			}
		}
	}
}
