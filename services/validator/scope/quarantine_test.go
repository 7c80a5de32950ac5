package scope_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// put appends an event to an artifact's history, by the service that writes such.
func (w *world) put(t *testing.T, digest, person string, event func(procedure.Quarantined) (*releasev1.Event, error)) {
	t.Helper()
	artifact, err := standing.ReadArtifact(t.Context(), eventstoretest.Store(w, procedure.ServiceApproval), digest)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event(artifact.Quarantined)
	if err != nil {
		t.Fatal(err)
	}
	e.ProcedureDigest, e.Actor = w.digest, proceduretest.Service(procedure.WriterOf(procedure.TypeOf(e)))
	if person != "" {
		e.Actor = proceduretest.Person(person)
	}
	if _, err := eventstoretest.Store(w, procedure.WriterOf(procedure.TypeOf(e))).Append(t.Context(), artifact.Draft(e)); err != nil {
		t.Fatal(err)
	}
}

// quarantine puts an artifact into quarantine, as a release of another service did.
func (w *world) quarantine(t *testing.T, digest string) {
	t.Helper()
	w.put(t, digest, "", func(q procedure.Quarantined) (*releasev1.Event, error) {
		return procedure.DecideQuarantine(q, digest, &releasev1.QuarantineReason{
			Release: "mail-7", Service: "mail", Environment: "staging", Version: "3.0.0", Requester: "rita", Owner: "olga",
			Cause: releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, Reason: "half of the orders were lost",
			Time: timestamppb.New(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)),
		}), nil
	})
}

// TestAnArtifactThatWasTakenBackIsReleasedNowhere: the same bytes under another name, by
// another service, to another target are the same bytes (N-17).
func TestAnArtifactThatWasTakenBackIsReleasedNowhere(t *testing.T) {
	const bypassable = "quarantine: {bypassable: true}\n"
	was := func(w *world, version string) {
		w.stands(t, "eu1", &releasev1.TargetState{Generation: 4, Deployed: deployment("1.5.0"), Previous: deployment(version)})
	}
	for _, test := range []struct {
		name, rules string
		lane        func(*releasev1.Request)
		previous    string
		want        string
		refused     bool
	}{
		{"planned", bypassable, func(*releasev1.Request) {}, "1.4.1", "artifact.quarantined web BLOCKING", true},
		{"emergency", "", proceduretest.Emergency, "1.4.1", "artifact.quarantined web BLOCKING", true},
		{"emergency that may go around it", bypassable, proceduretest.Emergency, "1.4.1", "artifact.quarantined web WARNING", false},
		{"rollback to what the target carried", "", proceduretest.Rollback, "1.4.2", "artifact.quarantined web WARNING", false},
		{"what calls itself a rollback", bypassable, proceduretest.Rollback, "1.4.1", "artifact.quarantined web BLOCKING", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, document(test.rules+"version_rules: {older: SEVERITY_WARNING}\n"))
			was(w, test.previous)
			w.quarantine(t, digestOf("1.4.2"))
			found, s, err := w.look(t, w.place(t, "1.4.2"), test.lane, func(r *releasev1.Request) { r.Artifacts[0].Name = "web" })
			if err != nil || (s.Outcome == releasev1.Outcome_OUTCOME_REJECTED) != test.refused || !has(found, test.want) {
				t.Fatalf("outcome %s, %v: %q is not among %q", s.Outcome, err, test.want, found)
			}
			i := slices.IndexFunc(s.Findings, func(f *releasev1.Finding) bool { return f.GetRule() == "artifact.quarantined" })
			for _, word := range []string{"mail-7", "mail 3.0.0 in staging", "asked for by rita", "owned by olga", "2026-11-02T10:00:00Z", "half of the orders were lost"} {
				if got := s.Findings[i].GetMessage(); !strings.Contains(got, word) {
					t.Errorf("%q does not say %q", got, word)
				}
			}
			around := test.lane != nil && test.name == "emergency that may go around it"
			if slices.Contains(s.Bypassed, "quarantine of artifact web") != around {
				t.Errorf("bypassed %v", s.Bypassed)
			}
		})
	}
	t.Run("rollback of a rollback", func(t *testing.T) {
		w := newWorld(t, document(bypassable+"version_rules: {older: SEVERITY_WARNING}\n"))
		was(w, "1.4.2")
		digest := digestOf("1.4.2")
		w.put(t, digest, "", func(q procedure.Quarantined) (*releasev1.Event, error) {
			return procedure.DecideQuarantine(q, digest, &releasev1.QuarantineReason{
				Release: "shop-older", Service: "shop", Environment: "production", Cause: releasev1.QuarantineReason_CAUSE_TAKEN_BACK,
			}), nil
		})
		found, s, err := w.look(t, w.place(t, "1.4.2"), proceduretest.Rollback)
		if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !has(found, "artifact.quarantined shop BLOCKING") {
			t.Errorf("outcome %s, %v: %q", s.Outcome, err, found)
		}
	})
	t.Run("behind another artifact", func(t *testing.T) {
		w := newWorld(t, document(""))
		w.quarantine(t, digestOf("1.3.0"))
		w.place(t, "1.3.0")
		found, s, err := w.look(t, w.place(t, "1.4.2"), func(r *releasev1.Request) {
			r.Artifacts = append(r.Artifacts, &releasev1.Artifact{Name: "helper", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: "shop/1.3.0", Digest: digestOf("1.3.0")})
		})
		if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !has(found, "artifact.quarantined helper BLOCKING") {
			t.Errorf("outcome %s, %v: %q", s.Outcome, err, found)
		}
	})
}

// TestAnArtifactThatWasLetOutMayBeReleased, also to the target that it was taken back
// from, and whoever approves it is told.
func TestAnArtifactThatWasLetOutMayBeReleased(t *testing.T) {
	w := newWorld(t, document(""))
	digest := digestOf("1.4.2")
	w.stands(t, "eu1", &releasev1.TargetState{Generation: 4, Deployed: deployment("1.4.1"), RolledBack: []*releasev1.Deployment{deployment("1.4.2")}})
	w.quarantine(t, digest)
	w.put(t, digest, "otto", func(q procedure.Quarantined) (*releasev1.Event, error) {
		return procedure.DecideProposal(q, proceduretest.Person("otto"), "the probe was wrong", time.Now())
	})
	found, s, err := w.look(t, w.place(t, "1.4.2"))
	if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED {
		t.Fatalf("asked for, and not let out: %s, %v, %q", s.Outcome, err, found)
	}
	w.put(t, digest, "cleo", func(q procedure.Quarantined) (*releasev1.Event, error) {
		of := map[string]procedure.State{"mail-7": {Phase: procedure.PhaseClosed, Request: proceduretest.Request()}}
		return procedure.DecideClearance(q, of, proceduretest.Person("cleo"), nil, "seen", time.Now())
	})
	found, s, err = w.look(t, w.place(t, "1.4.2"))
	if err != nil || s.Phase != procedure.PhasePreview || !has(found, "artifact.cleared shop WARNING") || !has(found, "version.rolled_back eu1 WARNING") {
		t.Errorf("let out: phase %s, %v, %q", s.Phase, err, found)
	}
	w.quarantine(t, digest)
	if found, s, err = w.look(t, w.place(t, "1.4.2")); err != nil || !has(found, "artifact.quarantined shop BLOCKING") {
		t.Errorf("back in quarantine: phase %s, %v, %q", s.Phase, err, found)
	}
}

// pinnedIndex pins every artifact as an index with these images.
type pinnedIndex []string

func (p pinnedIndex) Pin(_ context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	out := &releasev1.PinnedArtifact{Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: a.GetDigest()}
	for _, image := range p {
		out.Platforms = append(out.Platforms, &releasev1.PlatformImage{Platform: "linux/amd64", Digest: image})
	}
	return out, nil
}

// TestAnIndexDoesNotBringAnImageBack: the index is new, and what runs is not.
func TestAnIndexDoesNotBringAnImageBack(t *testing.T) {
	w := newWorld(t, document(""))
	w.quarantine(t, digestOf("image"))
	w.pins(pinnedIndex{digestOf("other"), digestOf("image")})
	found, s, err := w.look(t)
	if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !has(found, "artifact.quarantined shop BLOCKING") ||
		!strings.Contains(s.EndReason, "its image for linux/amd64, "+digestOf("image")) {
		t.Errorf("outcome %s, %v: %q, %s", s.Outcome, err, found, s.EndReason)
	}
	w.pins(pinnedIndex{digestOf("other")})
	if found, s, err := w.look(t); err != nil || s.Phase != procedure.PhasePreview {
		t.Errorf("phase %s, %v: %q", s.Phase, err, found)
	}
}
