package policy

import (
	"fmt"
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Live is a version of a service and where it is live, or since which release nobody knows
// whether it still is.
type Live struct{ Version, Target, Since string }

// LiveOf is what the targets of an environment carry of a service, by their own histories,
// which read reads. Errors are those of read.
func (x *Index) LiveOf(environment, service string, read func(target string) (*releasev1.TargetState, error)) ([]Live, error) {
	var out []Live
	for _, t := range x.document.GetTargets() {
		if t.GetRetired() || t.GetEnvironment() != environment || !slices.Contains(t.GetServices(), service) {
			continue
		}
		at, err := read(t.GetId())
		if err != nil {
			return nil, err
		}
		if d := at.GetDeployed(); d.GetService() == service {
			out = append(out, Live{d.GetVersion(), t.GetId(), at.GetUnknownSince()})
		}
	}
	return out, nil
}

// Unmet says why what is live of a service in an environment is not what another one needs;
// empty where it is. Step 2 and every start judge by it.
func Unmet(need *policyv1.Requirement, environment string, live []Live) string {
	if len(live) == 0 {
		return need.GetService() + " is live nowhere in " + environment
	}
	for _, d := range live {
		if d.Since != "" {
			return fmt.Sprintf("nobody knows since release %s what %s carries", d.Since, d.Target)
		}
		if ok, err := Takes(need.GetVersions(), d.Version); err != nil || !ok {
			return fmt.Sprintf("%s is %s on %s", need.GetService(), d.Version, d.Target)
		}
	}
	return ""
}
