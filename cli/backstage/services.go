package backstage

import (
	"fmt"
	"slices"
	"strconv"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// provisions notes which components provide which APIs: what depends on an API depends on
// whoever is released to change it.
func (c *catalog) provisions() {
	for _, e := range c.entities {
		if e.kind != "Component" {
			continue
		}
		for _, ref := range e.provides {
			if kind, namespace, name := split(ref.value, "api"); kind == "api" && namespace == "default" {
				if all := c.providers["api:"+name]; !slices.Contains(all, e) {
					c.providers["api:"+name] = append(all, e)
				}
			}
		}
	}
}

func (c *catalog) takeService(e *entity) {
	s := &policyv1.Service{Name: e.name.value, Title: e.title.value}
	if e.owner.value == "" {
		c.wrongAt(e, max(e.owner.line, e.line), "spec.owner is missing: somebody has to own %s", e.name.value)
	} else if meant, owner := c.find(e, e.owner, "group"); meant != "" {
		switch {
		case owner != nil && owner.kind == "Group":
			s.OwnerGroups = []string{owner.name.value}
		case owner != nil && owner.kind == "User":
			s.Owners = []string{owner.name.value}
		default:
			c.wrongAt(e, e.owner.line, "%q is neither a group nor a user", e.owner.value)
		}
	}
	if written, ok := e.annotations[tierOf]; ok && written.value != "" {
		tier, err := strconv.ParseUint(written.value, 10, 32)
		if err != nil || tier < 1 || tier > 4 {
			c.wrongAt(e, written.line, "annotation %s is %q, must be 1 to 4", prefix+tierOf, written.value)
		}
		s.Tier = uint32(tier)
	}
	if e.kind == "API" {
		c.noteAt(e, e.line, "API %s becomes a service of its own: no component here provides it", e.name.value)
	}
	c.origin[fmt.Sprintf("services[%d]", len(c.document.GetServices()))] = place{e, e.line}
	c.document.Services = append(c.document.Services, s)
	c.services[e] = s
}

// relations makes dependencies between services, and places them on targets, of what both
// sides say.
func (c *catalog) relations() {
	for _, e := range c.entities {
		switch {
		case c.services[e] != nil:
			for _, ref := range e.dependsOn {
				c.depends(e, ref, "component")
			}
			for _, ref := range e.consumes {
				c.depends(e, ref, "api")
			}
			c.provided(e)
			if e.partOf.value != "" {
				c.noteAt(e, e.partOf.line, "that %s is a part of %s is not imported: a procedure document has no parts of services", e.name.value, e.partOf.value)
			}
		case c.targets[e] != nil:
			for _, ref := range e.dependsOn {
				c.noteAt(e, ref.line, "that %s depends on %s is not imported: targets depend on nothing", e.name.value, ref.value)
			}
		}
		if c.services[e] != nil || c.targets[e] != nil {
			for _, ref := range e.dependencyOf {
				c.dependencyOf(e, ref)
			}
		}
	}
}

// provided follows the APIs that a component says it provides.
func (c *catalog) provided(e *entity) {
	for _, ref := range e.provides {
		kind, namespace, name := split(ref.value, "api")
		switch {
		case kind != "api" || namespace != "default":
			c.wrongAt(e, ref.line, "%q is no API of the namespace \"default\"", ref.value)
		case c.byRef["api:"+name] == nil:
			c.noteAt(e, ref.line, "%s provides the API %s, which is not in these files: who consumes it depends on %s", e.name.value, ref.value, e.name.value)
		}
	}
}

// depends takes over that a service depends on something.
func (c *catalog) depends(e *entity, ref text, kind string) {
	if by := c.providing(ref, kind); len(by) > 0 {
		for _, provider := range by {
			if provider == e {
				c.noteAt(e, ref.line, "%s consumes the API %s, which it provides itself", e.name.value, ref.value)
				continue
			}
			c.dependency(e, provider)
		}
		return
	}
	meant, found := c.find(e, ref, kind)
	switch {
	case meant == "":
	case found != nil && c.targets[found] != nil:
		c.place(e, found)
	case meant == "resource" || ignored[meant] != "":
		c.noteAt(e, ref.line, "%s depends on %s, which is not imported: it is neither a service nor a target", e.name.value, ref.value)
	case c.services[found] == nil:
		c.wrongAt(e, ref.line, "%q is no component, no API and no resource", ref.value)
	case found == e:
		c.wrongAt(e, ref.line, "%s depends on itself", e.name.value)
	default:
		c.dependency(e, found)
	}
}

// dependencyOf takes over that something depends on this service, or is released to this
// target.
func (c *catalog) dependencyOf(e *entity, ref text) {
	meant, found := c.find(e, ref, "component")
	switch {
	case meant == "":
	case found != nil && found == e:
		c.wrongAt(e, ref.line, "%s depends on itself", e.name.value)
	case found != nil && c.services[found] != nil && c.targets[e] != nil:
		c.place(found, e)
	case found != nil && c.services[found] != nil:
		c.dependency(found, e)
	case meant == "api" || meant == "resource" || ignored[meant] != "":
		c.noteAt(e, ref.line, "that %s depends on %s is not imported: it is no service", ref.value, e.name.value)
	default:
		c.wrongAt(e, ref.line, "%q is no component and no API", ref.value)
	}
}

// providing returns who provides the API that a reference leads to; nobody where it leads to
// something else.
func (c *catalog) providing(ref text, kind string) []*entity {
	kind, namespace, name := split(ref.value, kind)
	if kind != "api" || namespace != "default" {
		return nil
	}
	return c.providers["api:"+name]
}

func (c *catalog) dependency(e, other *entity) {
	s, on := c.services[e], c.services[other]
	if s != nil && on != nil && !slices.Contains(s.GetDependencies(), on.GetName()) {
		s.Dependencies = append(s.Dependencies, on.GetName())
	}
}

// owned lets the groups below an owner own its services as well, as they do in Backstage's
// view of a group with all that is below it.
func (c *catalog) owned() {
	for _, e := range c.entities {
		s := c.services[e]
		if s == nil || len(s.GetOwnerGroups()) == 0 {
			continue
		}
		all := c.descendants(c.byRef["group:"+s.GetOwnerGroups()[0]])
		switch {
		case len(all) == 0:
		case len(all) > maxBelow:
			c.wrongAt(e, e.owner.line, "%q has more than %d groups below it: name the one that owns %s", e.owner.value, maxBelow, e.name.value)
		default:
			for _, g := range all {
				s.OwnerGroups = append(s.OwnerGroups, g.name.value)
			}
			c.noteAt(e, e.owner.line, "%s is owned by the groups below %s as well: %s", e.name.value, e.owner.value, namesOf(all))
		}
	}
}
