package backstage

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
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
	targetID    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// ignored are the kinds of which a procedure document knows nothing, each with why.
var ignored = map[string]string{
	"system":   "a procedure document has no systems",
	"domain":   "a procedure document has no domains",
	"location": "the files that it names are not read: name them with -f",
	"template": "a procedure document has no templates",
}

// Import turns a catalog into the people, groups, services, targets and customer contacts
// of a procedure document, in the order of the files. It says of everything that it left
// out where that stands and why, and at last how much it took over. An error is Problems,
// with all that is wrong.
func Import(files ...File) (*policyv1.Procedure, []string, error) {
	r := &reader{}
	for _, f := range files {
		r.read(f.Name, f.Data)
	}
	c := &catalog{
		reader: r, document: &policyv1.Procedure{},
		byRef: map[string]*entity{}, providers: map[string][]*entity{}, below: map[*entity][]*entity{},
		services: map[*entity]*policyv1.Service{}, targets: map[*entity]*policyv1.Target{},
		groups: map[*entity]*policyv1.Group{}, origin: map[string]place{},
	}
	c.provisions()
	for _, e := range r.entities {
		c.register(e)
	}
	for _, e := range r.entities {
		c.take(e)
	}
	c.hierarchy()
	c.membership()
	c.relations()
	c.owned()
	c.placed()
	if len(r.problems) == 0 {
		c.checked()
	}
	if len(r.problems) > 0 {
		return nil, nil, sorted(files, r.problems)
	}
	var told []string
	for _, one := range sorted(files, c.notes) {
		told = append(told, one.String())
	}
	return c.document, append(told, c.sum()), nil
}

// sorted puts what there is to say in the order in which people read the files.
func sorted(files []File, all Problems) Problems {
	place := map[string]int{}
	for i, f := range files {
		place[f.Name] = i
	}
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(place[a.File]-place[b.File], a.Line-b.Line)
	})
	return all
}

type catalog struct {
	*reader

	byRef     map[string]*entity   // by "kind:name", in lower case
	providers map[string][]*entity // who provides an API, by "api:name"
	below     map[*entity][]*entity
	document  *policyv1.Procedure
	services  map[*entity]*policyv1.Service
	targets   map[*entity]*policyv1.Target
	groups    map[*entity]*policyv1.Group
	origin    map[string]place // of the elements of the document, by their path
	notes     Problems
}

// place is where an element of the document comes from.
type place struct {
	e    *entity
	line int
}

func (c *catalog) wrongAt(e *entity, line int, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: e.file, Line: max(line, 1), Message: fmt.Sprintf(format, args...)})
}

func (c *catalog) noteAt(e *entity, line int, format string, args ...any) {
	c.notes = append(c.notes, Problem{File: e.file, Line: max(line, 1), Message: fmt.Sprintf(format, args...)})
}

// service reports whether an entity is a service of a procedure document: a component, or
// an API that none of the components provides.
func (c *catalog) service(e *entity) bool {
	return e.kind == "Component" || e.kind == "API" && len(c.providers[refOf(e)]) == 0
}

// refOf is how an entity is found.
func refOf(e *entity) string { return strings.ToLower(e.kind) + ":" + strings.ToLower(e.name.value) }

// register makes an entity known to references. Names live in one namespace here.
func (c *catalog) register(e *entity) {
	if ns := e.namespace.value; ns != "" && ns != "default" {
		c.wrongAt(e, e.namespace.line, "namespace %q: a procedure document has one namespace, so only \"default\" can be imported", ns)
		return
	}
	pattern, what := serviceName, "a lower-case letter, then lower-case letters, digits and -, at most 40"
	switch {
	case c.service(e), e.kind == "Group":
	case e.kind == "User":
		pattern, what = personID, "a lower-case letter, then lower-case letters, digits and . _ -, at most 64"
	case target(e):
		pattern, what = targetID, "a lower-case letter or digit, then lower-case letters, digits and -, at most 63"
	case e.kind == "API", e.kind == "Resource", ignored[strings.ToLower(e.kind)] != "":
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
	refs := []string{refOf(e)}
	if c.service(e) {
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

// split takes a reference, [kind:][namespace/]name, apart; kind and name in lower case.
func split(ref, kind string) (meant, namespace, name string) {
	if k, after, ok := strings.Cut(ref, ":"); ok {
		kind, ref = strings.ToLower(k), after
	}
	namespace = "default"
	if ns, after, ok := strings.Cut(ref, "/"); ok {
		namespace, ref = strings.ToLower(ns), after
	}
	return kind, namespace, strings.ToLower(ref)
}

// find follows a reference. It returns the kind that is meant, in lower case, and what it
// leads to; no kind where it leads nowhere, which is a problem then and said. Of kinds that
// are not imported, what it leads to need not be there.
func (c *catalog) find(from *entity, ref text, kind string) (meant string, found *entity) {
	meant, namespace, name := split(ref.value, kind)
	if namespace != "default" {
		c.wrongAt(from, ref.line, "%q leads to namespace %q: only \"default\" can be imported", ref.value, namespace)
		return "", nil
	}
	if found = c.byRef[meant+":"+name]; found != nil {
		return meant, found
	}
	if meant == "resource" || ignored[meant] != "" {
		return meant, nil
	}
	c.wrongAt(from, ref.line, "%q leads nowhere in these files", ref.value)
	return "", nil
}

// take turns one entity into its part of the document, all but what it has to do with
// other ones.
func (c *catalog) take(e *entity) {
	switch {
	case c.service(e):
		c.takeService(e)
	case e.kind == "API":
		c.noteAt(e, e.line, "API %s is not imported: %s, which provides it, stands for it", e.name.value, namesOf(c.providers[refOf(e)]))
	case target(e):
		c.takeTarget(e)
	case e.kind == "Resource":
		c.noteAt(e, e.line, "Resource %s is not imported: without the annotation %s it is no target", e.name.value, prefix+environmentOf)
	case e.kind == "Group":
		c.takeGroup(e)
	case e.kind == "User":
		c.takeUser(e)
	default:
		if why := ignored[strings.ToLower(e.kind)]; why != "" {
			c.noteAt(e, e.line, "%s %s is not imported: %s", e.kind, e.name.value, why)
		}
	}
}

// sum counts what was taken over.
func (c *catalog) sum() string {
	d := c.document
	var customers []string
	for _, t := range d.GetTargets() {
		customers = append(customers, t.GetCustomers()...)
	}
	slices.Sort(customers)
	taken := len(d.GetPeople()) + len(d.GetGroups()) + len(d.GetServices()) + len(d.GetTargets())
	return fmt.Sprintf("imported: people %d, groups %d, services %d, targets %d with %d customers, customer_contacts %d; left out: %d of %d entities",
		len(d.GetPeople()), len(d.GetGroups()), len(d.GetServices()), len(d.GetTargets()), len(slices.Compact(customers)),
		len(d.GetCustomerContacts()), len(c.entities)-taken, len(c.entities))
}

func namesOf(entities []*entity) string {
	names := make([]string, len(entities))
	for i, e := range entities {
		names[i] = e.name.value
	}
	return strings.Join(names, ", ")
}
