package backstage

import (
	"fmt"
	"slices"
	"strings"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// maxBelow bounds the groups below one: a service has an owner group for each.
const maxBelow = 64

func (c *catalog) takeUser(e *entity) {
	p := &policyv1.Person{Id: e.name.value, Name: e.display.value, Contacts: c.contacts(e)}
	if p.GetName() == "" {
		p.Name = e.name.value
	}
	if e.mail.value != "" {
		p.Aliases = []string{e.mail.value}
	}
	c.origin[fmt.Sprintf("people[%d]", len(c.document.GetPeople()))] = place{e, e.line}
	c.document.People = append(c.document.People, p)
}

func (c *catalog) takeGroup(e *entity) {
	g := &policyv1.Group{Name: e.name.value, Contacts: c.contacts(e)}
	for _, m := range e.members {
		meant, p := c.find(e, m, "user")
		switch {
		case meant == "":
		case p == nil || p.kind != "User":
			c.wrongAt(e, m.line, "%q is no user", m.value)
		case slices.Contains(g.GetMembers(), p.name.value):
			c.noteAt(e, m.line, "%q is in the group %s already", m.value, e.name.value)
		default:
			g.Members = append(g.Members, p.name.value)
		}
	}
	for _, customer := range c.words(e, customersOf) {
		c.origin[fmt.Sprintf("customer_contacts[%d]", len(c.document.GetCustomerContacts()))] = place{e, e.annotations[customersOf].line}
		c.document.CustomerContacts = append(c.document.CustomerContacts, &policyv1.CustomerContact{Customer: customer, Group: e.name.value})
	}
	c.origin[fmt.Sprintf("groups[%d]", len(c.document.GetGroups()))] = place{e, e.line}
	c.document.Groups = append(c.document.Groups, g)
	c.groups[e] = g
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
	for _, e := range c.entities {
		if e.kind != "User" {
			continue
		}
		for _, ref := range e.memberOf {
			meant, found := c.find(e, ref, "group")
			if meant == "" {
				continue
			}
			if found == nil || found.kind != "Group" {
				c.wrongAt(e, ref.line, "%q is no group", ref.value)
				continue
			}
			if g := c.groups[found]; g != nil && !slices.Contains(g.GetMembers(), e.name.value) {
				g.Members = append(g.Members, e.name.value)
			}
		}
	}
	for _, e := range c.entities {
		if g := c.groups[e]; g != nil && len(g.GetMembers()) == 0 {
			c.noteAt(e, e.line, "nobody in these files is in the group %s itself", e.name.value)
		}
	}
}

// hierarchy notes which groups are below which ones, as either of the two says. A parent
// that is not there takes nothing from the group itself, and is only told.
func (c *catalog) hierarchy() {
	add := func(parent, child *entity) {
		if !slices.Contains(c.below[parent], child) {
			c.below[parent] = append(c.below[parent], child)
		}
	}
	for _, e := range c.entities {
		if e.kind != "Group" {
			continue
		}
		if kind, namespace, name := split(e.parent.value, "group"); e.parent.value != "" {
			if parent := c.byRef[kind+":"+name]; parent != nil && parent.kind == "Group" && namespace == "default" {
				add(parent, e)
			} else {
				c.noteAt(e, e.parent.line, "group %s is below %q, which is no group of these files", e.name.value, e.parent.value)
			}
		}
		for _, ref := range e.children {
			meant, child := c.find(e, ref, "group")
			switch {
			case meant == "":
			case child == nil || child.kind != "Group":
				c.wrongAt(e, ref.line, "%q is no group", ref.value)
			default:
				add(e, child)
			}
		}
	}
	for _, e := range c.entities {
		if all := c.descendants(e); slices.Contains(all, e) {
			c.wrongAt(e, e.line, "group %s is below itself", e.name.value)
		}
	}
}

// descendants returns the groups below one, the nearest first, and the group itself where it
// is below itself; no more than one beyond what a group may have below it.
func (c *catalog) descendants(e *entity) []*entity {
	var all []*entity
	for next := c.below[e]; len(next) > 0; {
		var after []*entity
		for _, child := range next {
			if slices.Contains(all, child) {
				continue
			}
			if all = append(all, child); len(all) > maxBelow {
				return all
			}
			after = append(after, c.below[child]...)
		}
		next = after
	}
	return all
}
