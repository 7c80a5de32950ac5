package freeze

import (
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Digest names a freeze by its content. An exception is one of exactly that: whoever makes
// a freeze longer afterwards, or names other people in it, is not overruled.
func Digest(f *policyv1.Freeze) string { return procedure.ContentDigest(f) }

// MayOverride reports whether a person, being in these groups, is one who may make an
// exception of the freeze: whoever it names, and nobody where it names nobody.
func MayOverride(f *policyv1.Freeze, person string, groups []string) bool {
	return slices.Contains(f.GetOverridePeople(), person) ||
		slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(f.GetOverrideGroups(), g) })
}

// Overridden says of a freeze whether one of the exceptions counts. The groups are those
// that a person is in by the document that the freeze stands in: nil for whoever decides
// nothing. Of them count those that the exception says as well, for the document does not
// know whom an identity provider had taken out of a group by then (PD-A.4); what an event
// says beyond the document counts for nothing.
func Overridden(made []procedure.Override, groups func(person string) (in []string, decides bool)) func(*policyv1.Freeze) bool {
	return func(f *policyv1.Freeze) bool { return Exception(made, f, groups) != nil }
}

// Exception is the one of the exceptions that counts for the freeze; nil where none does.
func Exception(made []procedure.Override, f *policyv1.Freeze, groups func(person string) ([]string, bool)) *procedure.Override {
	for i, o := range made {
		if o.Freeze != f.GetName() || o.Digest != Digest(f) {
			continue
		}
		in, decides := groups(o.Person)
		in = slices.DeleteFunc(slices.Clone(in), func(g string) bool { return !slices.Contains(o.Groups, g) })
		if decides && MayOverride(f, o.Person, in) {
			return &made[i]
		}
	}
	return nil
}
