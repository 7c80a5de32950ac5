package rollback_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestTheImagesOfAnIndexAreNotedWithIt, in the same batch: each of them would run by itself
// what was taken back.
func TestTheImagesOfAnIndexAreNotedWithIt(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t, proceduretest.Irreversible)
	r.To(t, procedure.PhaseScope)
	scope := proceduretest.Scope(r.State(t))
	scope.GetScopeValidated().GetTargets()[0].State = w.Standing(t, "eu1").State
	images := []string{proceduretest.Digest('7'), proceduretest.Digest('8')}
	scope.GetScopeValidated().GetArtifacts()[0].Platforms = []*releasev1.PlatformImage{
		{Platform: "linux/amd64", Digest: images[0]}, {Platform: "linux/arm64", Digest: images[1]}, {Platform: "linux/arm64/v8", Digest: images[1]},
	}
	r.Do(t, "", scope)
	r.To(t, procedure.PhaseExecute)
	r.Do(t, "", proceduretest.Claim(r.State(t), "forth", time.Now()))
	w.Lock(t, "eu1", r.ID, "forth")
	r.Do(t, "", proceduretest.Executed(r.State(t), nil))
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	e := w.Executor(t, "back", nil)
	events, err := e.Turn(t.Context(), rollback.New(e.Site, time.Now), r.Task(t, 1))
	if err != nil || len(events) != 4 {
		t.Fatalf("%v, %v", events, err)
	}
	for _, image := range images {
		a, err := standing.ReadArtifact(t.Context(), w.Store(procedure.ServiceApproval), image)
		if err != nil {
			t.Fatal(err)
		}
		index, held := a.ByIndex("")
		if a.Held || !held || index.Digest != sitetest.DigestOf(2) || !slices.Equal(a.State.GetIndexes(), []string{sitetest.DigestOf(2)}) ||
			!strings.Contains(procedure.OfIndex(index.Digest, index.Quarantined), r.ID) {
			t.Errorf("%s stands at %+v", image, a)
		}
		if _, held := a.ByIndex(r.ID); held {
			t.Error("a release is held up by what it did itself")
		}
	}
}
