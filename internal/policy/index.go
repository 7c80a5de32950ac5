package policy

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Index finds things in one document. It is safe for concurrent use, and the
// document must not be changed any more.
type Index struct {
	document     *policyv1.Procedure
	people       map[string]*policyv1.Person
	groups       map[string]*policyv1.Group
	groupsOf     map[string][]string
	rotas        map[string][]rota
	environments map[string]*policyv1.Environment
	services     map[string]*policyv1.Service
	targets      map[string]*policyv1.Target
	gates        map[string]*policyv1.Gate
	keys         map[string]*policyv1.Key
	conditions   sync.Map // expressions of rules, compiled
}

// NewIndex returns the index of a document, which need not have been checked: of
// several things with one name the first counts, and a name that leads nowhere
// is simply not found.
func NewIndex(document *policyv1.Procedure) *Index {
	x := &Index{
		document:     document,
		people:       make(map[string]*policyv1.Person),
		groups:       byName(document.GetGroups(), (*policyv1.Group).GetName),
		groupsOf:     make(map[string][]string),
		rotas:        make(map[string][]rota),
		environments: byName(document.GetEnvironments(), (*policyv1.Environment).GetName),
		services:     byName(document.GetServices(), (*policyv1.Service).GetName),
		targets:      byName(document.GetTargets(), (*policyv1.Target).GetId),
		gates:        byName(document.GetGates(), (*policyv1.Gate).GetName),
		keys:         byName(document.GetKeys(), (*policyv1.Key).GetId),
	}
	// Ids first: no alias may take an id away from the person who has it.
	for _, person := range document.GetPeople() {
		x.addName(person.GetId(), person)
	}
	for _, person := range document.GetPeople() {
		for _, alias := range person.GetAliases() {
			x.addName(alias, person)
		}
	}
	for _, group := range x.groups {
		if rotas := rotasOf(group); len(rotas) > 0 {
			x.rotas[group.GetName()] = rotas
		}
		for _, member := range group.GetMembers() {
			if person := x.Person(member); person != nil && !slices.Contains(x.groupsOf[person.GetId()], group.GetName()) {
				x.groupsOf[person.GetId()] = append(x.groupsOf[person.GetId()], group.GetName())
			}
		}
	}
	for _, groups := range x.groupsOf {
		slices.Sort(groups)
	}
	return x
}

func (x *Index) addName(name string, person *policyv1.Person) {
	folded := fold(name)
	if _, taken := x.people[folded]; !taken && folded != "" {
		x.people[folded] = person
	}
}

// Document returns the document.
func (x *Index) Document() *policyv1.Procedure { return x.document }

// Person returns the person with this id or alias, without regard to case, or
// nil. Inactive people and machines are found, too.
func (x *Index) Person(name string) *policyv1.Person { return x.people[fold(name)] }

// Caller returns the person whose id or alias a name is that somebody proved to have, or
// nil. In what is written down, look-alikes are one person, so that nobody is two; but
// who calls is nobody else for looking like them: letters are compared as they are, only
// ASCII without regard to case, as providers write mail addresses.
func (x *Index) Caller(name string) *policyv1.Person {
	p := x.Person(name)
	if p == nil || !slices.ContainsFunc(append([]string{p.GetId()}, p.GetAliases()...), func(own string) bool {
		return lowerASCII(own) == lowerASCII(name)
	}) {
		return nil
	}
	return p
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// GroupsOf returns the names of the groups that a person, named by id or alias,
// is a member of, in alphabetical order; those that they are on call for are no such.
func (x *Index) GroupsOf(name string) []string {
	return slices.Clone(x.groupsOf[x.Person(name).GetId()])
}

// People returns the ids of the members of a group who can decide something:
// active, and not machines; in alphabetical order. Who is on call is not among them.
func (x *Index) People(group string) []string {
	var ids []string
	for _, member := range x.groups[group].GetMembers() {
		person := x.Person(member)
		if person != nil && !person.GetInactive() && !person.GetMachine() {
			ids = append(ids, person.GetId())
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Group returns the group with this name, or nil.
func (x *Index) Group(name string) *policyv1.Group { return x.groups[name] }

// Environment returns the environment with this name, or nil.
func (x *Index) Environment(name string) *policyv1.Environment { return x.environments[name] }

// Service returns the service with this name, or nil.
func (x *Index) Service(name string) *policyv1.Service { return x.services[name] }

// Target returns the target with this id, or nil. Retired ones are found, too.
func (x *Index) Target(id string) *policyv1.Target { return x.targets[id] }

// Gate returns the gate with this name, or nil.
func (x *Index) Gate(name string) *policyv1.Gate { return x.gates[name] }

// Key returns the key with this id, or nil. Revoked ones are found, too.
func (x *Index) Key(id string) *policyv1.Key { return x.keys[id] }

func byName[T any](elements []T, name func(T) string) map[string]T {
	result := make(map[string]T, len(elements))
	for _, element := range elements {
		if _, taken := result[name(element)]; !taken {
			result[name(element)] = element
		}
	}
	return result
}

// fold returns one spelling for all that strings.EqualFold calls equal, so that
// it can be the key of a map.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, strings.TrimSpace(name))
}
