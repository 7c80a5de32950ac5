package scope

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// catalog looks at what the catalogue says of the service: which versions it needs of
// services that it depends on, which versions of it the services need that depend on it,
// whom the targets serve, and whether anybody who owns it can be reached. Each is one
// finding, however many services it is about.
func (l *look) catalog(ctx context.Context, r standing.Reader) error {
	if err := l.requirements(ctx, r); err != nil {
		return err
	}
	if err := l.dependents(ctx, r); err != nil {
		return err
	}
	l.customers()
	service := l.index.Service(l.request.GetService())
	if tier := service.GetTier(); tier > 0 && len(l.index.OwnerContacts(service.GetName())) == 0 {
		l.find(releasev1.Finding_SEVERITY_WARNING, "owner.unreachable", service.GetName(),
			"%s is of tier %d, and neither its groups nor its owners have a contact", service.GetName(), tier)
	}
	return nil
}

// requirements looks whether what is live in the environment is what the service needs.
func (l *look) requirements(ctx context.Context, r standing.Reader) error {
	all := l.index.Service(l.request.GetService()).GetRequirements()
	var unmet, met []string
	worst := releasev1.Finding_SEVERITY_OK
	for _, need := range all {
		live, err := l.live(ctx, r, need.GetService())
		if err != nil {
			return err
		}
		why := policy.Unmet(need, l.request.GetEnvironment(), live)
		if why == "" {
			met = append(met, need.GetService()+" "+need.GetVersions())
			continue
		}
		unmet = append(unmet, fmt.Sprintf("needs %s %s, and %s", need.GetService(), need.GetVersions(), why))
		worst = max(worst, l.severity(need.GetSeverity(), releasev1.Finding_SEVERITY_BLOCKING))
	}
	switch {
	case len(unmet) > 0:
		l.find(worst, "dependency.version", l.request.GetService(), "%s %s", l.request.GetService(), strings.Join(unmet, "; "))
	case len(met) > 0:
		l.find(releasev1.Finding_SEVERITY_OK, "dependency.version", l.request.GetService(), "what it needs is live: %s", strings.Join(met, ", "))
	}
	return nil
}

// dependents looks whether the services that depend on this one, and are live in the
// environment, take the version that is to be released.
func (l *look) dependents(ctx context.Context, r standing.Reader) error {
	var all, broken []string
	worst := releasev1.Finding_SEVERITY_OK
	for _, other := range l.index.Dependents(l.request.GetService()) {
		all = append(all, other.GetName())
		for _, need := range other.GetRequirements() {
			if need.GetService() != l.request.GetService() {
				continue
			}
			if ok, err := policy.Takes(need.GetVersions(), l.request.GetVersion()); err == nil && ok {
				continue
			}
			live, err := l.live(ctx, r, other.GetName())
			if err != nil {
				return err
			}
			if len(live) > 0 {
				broken = append(broken, fmt.Sprintf("%s %s, live on %s, needs %s", other.GetName(), live[0].Version, live[0].Target, need.GetVersions()))
				worst = max(worst, l.severity(need.GetSeverity(), releasev1.Finding_SEVERITY_BLOCKING))
			}
		}
	}
	switch {
	case len(broken) > 0:
		l.find(worst, "dependent.version", l.request.GetService(), "version %s is not taken by what depends on it: %s",
			l.request.GetVersion(), strings.Join(broken, "; "))
	case len(all) > 0:
		l.find(releasev1.Finding_SEVERITY_OK, "dependents", l.request.GetService(), "it is what others depend on: %s", strings.Join(all, ", "))
	}
	return nil
}

// customers names whom the targets serve.
func (l *look) customers() {
	var served []string
	for _, wave := range l.request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			served = append(served, l.index.Target(id).GetCustomers()...)
		}
	}
	slices.Sort(served)
	if served = slices.Compact(served); len(served) > 0 {
		l.find(releasev1.Finding_SEVERITY_OK, "customers", l.request.GetService(), "the targets serve %s", strings.Join(served, ", "))
	}
}

// live is what the targets of the environment carry of a service, by their own histories.
func (l *look) live(ctx context.Context, r standing.Reader, service string) ([]policy.Live, error) {
	return l.index.LiveOf(l.request.GetEnvironment(), service, func(id string) (*releasev1.TargetState, error) {
		at, err := standing.ReadTarget(ctx, r, id)
		return at.State, err
	})
}
