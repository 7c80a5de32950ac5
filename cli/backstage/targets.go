package backstage

import (
	"fmt"
	"slices"
	"strings"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// kindPrefix is what the names of kinds of artifacts begin with, and may be left out.
const kindPrefix = "ARTIFACT_KIND_"

// target reports whether an entity is a target: a resource that says of which environment.
func target(e *entity) bool {
	_, ok := e.annotations[environmentOf]
	return e.kind == "Resource" && ok
}

func (c *catalog) takeTarget(e *entity) {
	t := &policyv1.Target{Id: e.name.value, Environment: e.annotations[environmentOf].value, Customers: c.words(e, customersOf)}
	if name := t.GetEnvironment(); name != "" && !serviceName.MatchString(name) {
		c.wrongAt(e, e.annotations[environmentOf].line, "annotation %s is %q, which no environment is called: a lower-case letter, then lower-case letters, digits and -, at most 40", prefix+environmentOf, name)
	}
	driver, ok := e.annotations[driverOf]
	if !ok {
		c.wrongAt(e, e.line, "annotation %s is missing: host, command, config, kubernetes, helm, terraform or noop", prefix+driverOf)
	}
	t.Driver = driver.value
	kinds, ok := e.annotations[kindsOf]
	if !ok {
		c.wrongAt(e, e.line, "annotation %s is missing: what %s takes, such as OCI_IMAGE, HELM_CHART", prefix+kindsOf, e.name.value)
	}
	for _, word := range c.words(e, kindsOf) {
		kind := releasev1.ArtifactKind_value[kindPrefix+strings.TrimPrefix(word, kindPrefix)]
		if kind == 0 {
			c.wrongAt(e, kinds.line, "annotation %s: %q is no kind of artifact", prefix+kindsOf, word)
			continue
		}
		t.Kinds = append(t.Kinds, releasev1.ArtifactKind(kind))
	}
	c.origin[fmt.Sprintf("targets[%d]", len(c.document.GetTargets()))] = place{e, e.line}
	c.document.Targets = append(c.document.Targets, t)
	c.targets[e] = t
}

// words reads an annotation that is a list with commas.
func (c *catalog) words(e *entity, name string) []string {
	written := e.annotations[name]
	if written.value == "" {
		return nil
	}
	var out []string
	for _, word := range strings.Split(written.value, ",") {
		word = strings.TrimSpace(word)
		switch {
		case word == "":
			c.wrongAt(e, written.line, "annotation %s has an empty place between its commas", prefix+name)
		case slices.Contains(out, word):
			c.wrongAt(e, written.line, "annotation %s has %q twice", prefix+name, word)
		default:
			out = append(out, word)
		}
	}
	return out
}

// place says that a service is released to a target.
func (c *catalog) place(service, target *entity) {
	s, t := c.services[service], c.targets[target]
	if s != nil && t != nil && !slices.Contains(t.GetServices(), s.GetName()) {
		t.Services = append(t.Services, s.GetName())
	}
}

// placed demands of every target that something is released to it.
func (c *catalog) placed() {
	for _, e := range c.entities {
		if t := c.targets[e]; t != nil && len(t.GetServices()) == 0 {
			c.wrongAt(e, e.line, "nothing is released to %s: no component depends on it (spec.dependsOn there, spec.dependencyOf here)", e.name.value)
		}
	}
}
