package execute_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const cataloged = `environments: [{name: production}]
services:
  - {name: shop, dependencies: [billing], requirements: [{service: billing, versions: ">=2.0.0"}, {service: search, versions: ">=9.0.0", severity: SEVERITY_WARNING}]}
  - {name: billing}
  - {name: search}
  - {name: portal, dependencies: [shop], requirements: [{service: shop, versions: "<2.0.0"}]}
targets:
  - {id: bill1, environment: production, services: [billing]}
  - {id: portal1, environment: production, services: [portal]}
`

// TestVersionsThatAreNeededAreLookedAtAgainAtTheStart: after step 2 what the service needs
// was taken back, or what needs another version of it was released. The start waits, and
// goes on by itself when that is put right (PD-3.3).
func TestVersionsThatAreNeededAreLookedAtAgainAtTheStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Digest = w.Keep(t, sitetest.Document(cataloged))
	e := w.Executor(t, "one", nil)
	carries := func(target, service, version string) {
		t.Helper()
		w.Unlock(t, target, service+"-x", standing.Carrying(w.Standing(t, target).State, &releasev1.Deployment{
			Release: service + "-x", Version: version, Digest: sitetest.DigestOf(1), Service: service,
		}))
	}
	turn := func(r *sitetest.Release) procedure.State {
		t.Helper()
		if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
		return r.State(t)
	}
	held := func(s procedure.State, rule, subject string) {
		t.Helper()
		if s.Phase != procedure.PhaseHeld || len(s.Holds) != 1 || s.Holds[0].GetRule() != rule || s.Holds[0].GetSubject() != subject {
			t.Fatalf("in phase %s: %v", s.Phase, s.Holds)
		}
	}
	carries("bill1", "billing", "1.9.0")
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	held(turn(r), "dependency.version", "billing")
	carries("bill1", "billing", "2.1.0")
	carries("portal1", "portal", "7.0.0")
	r.Resume(t)
	held(turn(r), "dependent.version", "portal")

	urgent := w.Release(t, proceduretest.Emergency, proceduretest.Key("urgent"))
	urgent.To(t, procedure.PhaseExecute)
	if s := turn(urgent); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("the emergency is in phase %s: %v", s.Phase, s.Holds)
	}
	w.Unlock(t, "eu1", urgent.ID, r.State(t).Scoped("eu1").GetState())

	carries("portal1", "other", "1.0.0") // the portal is gone from there
	r.Resume(t)
	if s := turn(r); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
}
