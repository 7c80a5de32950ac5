// Package incident says which open incidents of other releases a release waits for, as the
// procedure document has it (PD-3.3): of releases of its own service, of services that it
// depends on, and of any release to one of its targets.
//
// Approval asks at step 3, the executor at the start and before every wave, and both ask
// here. What an incident is and how long it is open is procedure.OpenIncident.
//
// The cost is the newest event of each service that the document relates to the release, and
// the histories of those releases that are not at an end or have an open incident, however many
// were recorded before.
package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rule is the word for the record.
const Rule = "incident.open"

// Store reads histories and standings.
type Store interface {
	standing.Reader
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
}

// Found is an open incident of another release.
type Found struct{ Release, Message string }

// Hold is the reason to wait for it; nobody knows until when.
func (f Found) Hold() *releasev1.HoldReason {
	return &releasev1.HoldReason{Rule: Rule, Subject: f.Release, Message: f.Message}
}

// Called is how it is called out where the release does not wait for it.
func (f Found) Called() *releasev1.Finding {
	return &releasev1.Finding{Rule: Rule, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: f.Release, Message: f.Message}
}

// Around is how it is called that an emergency does not wait for an incident of that release.
func Around(release string) string { return "incident of release " + release }

// Find returns the releases with an open incident for which the release waits, each once. The
// documents are those that it is judged by; one is enough to hold it. What an urgent release
// may go around is for the caller to say. Of very many the first MaxFound are named, and of the
// others how many they are.
func Find(ctx context.Context, store Store, s procedure.State, documents []*policy.Index) ([]Found, error) {
	// Between a claim and its effect: what has begun is brought to its end.
	if s.Phase == procedure.PhaseExecuting && len(s.Begun) > 0 {
		return nil, nil
	}
	var out []Found
	for _, index := range documents {
		rule := index.Document().GetIncidents()
		if !policy.IncidentsHold(rule, s.Request) {
			continue
		}
		for _, name := range Services(index, s.Request) {
			of, err := releases(ctx, store, s.Request.GetEnvironment(), name)
			if err != nil {
				return nil, err
			}
			for _, other := range of {
				why := concerns(index, rule, s, other)
				if why != "" && !slices.ContainsFunc(out, func(f Found) bool { return f.Release == other.Release }) {
					out = append(out, Found{other.Release, why})
				}
			}
		}
	}
	return bounded(out), nil
}

// MaxFound bounds how many releases a look names: what it found goes into an event, which has
// to stay small enough for the bus.
const MaxFound = 32

func bounded(found []Found) []Found {
	more := len(found) - MaxFound
	if more <= 0 {
		return found
	}
	found = found[:MaxFound]
	found[MaxFound-1].Message += fmt.Sprintf(", and %d more", more)
	return found
}

// Services are those whose releases are looked at, by the document.
func Services(index *policy.Index, r *releasev1.Request) []string {
	rule := index.Document().GetIncidents()
	if !policy.IncidentsHold(rule, r) {
		return nil
	}
	var out []string
	if policy.IncidentScope(rule, policyv1.Incidents_SCOPE_SERVICE) {
		out = append(out, r.GetService())
	}
	if policy.IncidentScope(rule, policyv1.Incidents_SCOPE_DEPENDENCY) {
		out = append(out, index.Service(r.GetService()).GetDependencies()...)
	}
	if policy.IncidentScope(rule, policyv1.Incidents_SCOPE_TARGET) {
		out = append(out, r.GetService())
		for _, id := range procedure.Targets(r) {
			out = append(out, index.Target(id).GetServices()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// releases are those of a service that may have an open incident. A history that somebody made
// too long is read as far as it goes: nobody carries on what is longer.
func releases(ctx context.Context, store Store, environment, service string) ([]procedure.State, error) {
	s, err := standing.ReadService(ctx, store, environment, service)
	if err != nil {
		return nil, err
	}
	var out []procedure.State
	for _, id := range slices.Concat(s.Open, s.Incidents) {
		h, err := store.Beginning(ctx, procedure.Aggregate(id))
		if errors.Is(err, envelope.ErrSubject) {
			continue // No release has such a name, and it must not keep an emergency waiting.
		}
		if err != nil {
			return nil, fmt.Errorf("look for incidents of release %s of %s: %w", id, service, err)
		}
		other, _ := procedure.Fold(id, h.Entries)
		out = append(out, other)
	}
	return out, nil
}

// concerns says why an incident of another release holds this one; empty where none does.
// What has begun waits for no other one that waits itself: they would wait for each other.
func concerns(index *policy.Index, rule *policyv1.Incidents, s, other procedure.State) string {
	incident, open := procedure.OpenIncident(other, rule.GetCauses(), rule.GetUntil() == policyv1.Incidents_UNTIL_TAKEN_ON)
	if !open || other.Release == s.Release || len(s.Begun) > 0 && other.Phase == procedure.PhaseHeld {
		return ""
	}
	own, of := s.Request.GetService(), other.Request.GetService()
	where := ""
	switch {
	case policy.IncidentScope(rule, policyv1.Incidents_SCOPE_SERVICE) && of == own:
		where = "of the same service"
	case policy.IncidentScope(rule, policyv1.Incidents_SCOPE_DEPENDENCY) && slices.Contains(index.Service(own).GetDependencies(), of):
		where = "of " + of + ", on which " + own + " depends"
	case policy.IncidentScope(rule, policyv1.Incidents_SCOPE_TARGET):
		for _, id := range procedure.Targets(s.Request) {
			if slices.Contains(procedure.Targets(other.Request), id) {
				where = "of " + of + ", which is on target " + id
				break
			}
		}
	}
	if where == "" {
		return ""
	}
	standing := "nobody has taken it on"
	if by := incident.AcknowledgedBy; by != "" {
		standing = by + " has taken it on, and the release is not at its end"
		if procedure.MayClose(other) {
			standing = by + " has taken it on, and nobody has closed it"
		}
	}
	return fmt.Sprintf("release %s %s has an open incident, %s since %s: %s", other.Release, where,
		strings.ToLower(strings.TrimPrefix(incident.Cause.String(), "CAUSE_")), incident.Raised.UTC().Format(time.RFC3339), standing)
}
