package policy

import (
	"fmt"

	"github.com/blackdice/shipwarden/procedure"
)

// Linked says why a person may not approve a change by this document, although their id
// has no part in it: because it is another account of somebody who has, or who approved
// it already; empty where they may. The document in effect may know that two accounts are
// one person when that under which the release began did not (PD-A.1).
func (x *Index) Linked(s procedure.State, person string) string {
	for _, p := range s.Parts() {
		if p.Person != person && x.same(p.Person, person) && !s.Emergency() {
			return fmt.Sprintf("%s is %s, who is %s", person, p.Person, p.Role)
		}
	}
	for _, a := range s.Approvals {
		if a.Person != person && x.same(a.Person, person) {
			return fmt.Sprintf("%s is %s, who has approved", person, a.Person)
		}
	}
	return ""
}

// same reports whether two names are those of one person.
func (x *Index) same(a, b string) bool {
	p := x.Person(a)
	return p != nil && p == x.Person(b)
}

// Names are all names that somebody has, the id first; nil where there is nobody of that
// name.
func (x *Index) Names(person string) []string {
	p := x.Person(person)
	if p == nil {
		return nil
	}
	return append([]string{p.GetId()}, p.GetAliases()...)
}
