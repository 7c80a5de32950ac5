package authorize_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// registry has statements beside every image, or cannot be asked.
type registry struct {
	shelf
	err error
}

func (r *registry) Find(ctx context.Context, image *releasev1.Artifact, wanted []string) ([][]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.shelf.Find(ctx, image, wanted)
}

// TestWhatIfAsksWhatStepOneAsks: a question is answered by what the change record says now and
// what is beside the image now, the record's window counts for the earliest start, and what is
// not known is said to be. Nothing is on the stream and nothing in the store of it.
func TestWhatIfAsksWhatStepOneAsks(t *testing.T) {
	now := time.Now()
	jira := changerecordtest.Jira(t)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{jira.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	statement, err := attest.Sign(attest.Statement{
		PredicateType: approvaltest.TestType, Predicate: map[string]any{"result": "PASSED"},
		Subjects: []attest.Subject{{Name: "shop", Digest: proceduretest.Digest('a')}},
	}, "ci", approvaltest.Key("ci"))
	if err != nil {
		t.Fatal(err)
	}
	images := &registry{shelf: shelf{statement}}
	world := whatif.World{Outside: gates.Outside{Connectors: connectors, Finder: images, Within: time.Minute}}
	r := rigIn(t, natstest.Single(t), nil, world, foundThen, func(d *policyv1.Procedure) {
		d.Freezes = []*policyv1.Freeze{frozen("audit", now.Add(time.Hour))}
		d.Targets[0].Kinds = []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE}
	})
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-one", Digest: proceduretest.Digest('b')})
	desk, before := r.dial(t), r.last(t)
	stored := kept(t, r)
	ask := func() *approvalv1.WhatIfResponse {
		t.Helper()
		request, err := proto.Marshal(proceduretest.Request(func(q *releasev1.Request) { q.Artifacts[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE }))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: request})
		if err != nil {
			t.Fatal(err)
		}
		if said := answer.String(); len(answer.GetViolations()) > 0 || strings.Contains(said, "127.0.0.1") || strings.Contains(said, changerecordtest.Secret) {
			t.Errorf("%s", said)
		}
		return answer
	}
	rules := func(o *approvalv1.Outlook) (out []string) {
		for _, h := range o.GetHolds() {
			out = append(out, h.GetRule())
		}
		return out
	}
	record := changerecordtest.Record{State: "Scheduled", Service: "shop"}
	for _, c := range []struct {
		name     string
		start    time.Duration
		end      time.Duration
		earliest time.Duration // negative where no start is feasible
		holds    []string
	}{
		{"no window", 0, 0, time.Hour, []string{"freeze"}},
		{"behind the freeze", 2 * time.Hour, 4 * time.Hour, 2 * time.Hour, []string{changerecord.RuleWindow}},
		{"it begins within the freeze", time.Minute, 4 * time.Hour, time.Hour, []string{changerecord.RuleWindow, "freeze"}},
		{"it is over before the freeze is", -time.Hour, 30 * time.Minute, -1, []string{changerecord.RuleRecord, "freeze"}},
	} {
		record.Start, record.End = time.Time{}, time.Time{}
		if c.end > 0 {
			record.Start, record.End = now.Add(c.start).Truncate(time.Second), now.Add(c.end).Truncate(time.Second)
		}
		jira.Set("CHG-1042", record)
		o := ask().GetOutlook()
		earliest := now.Add(c.earliest)
		if c.start == c.earliest {
			earliest = record.Start
		}
		if stepOf(t, o, "1").GetStanding() != approvalv1.OutlookStep_STANDING_DONE || !slices.Equal(rules(o), c.holds) ||
			(o.GetEarliestStart() == nil) != (c.earliest < 0) || c.earliest > 0 && !o.GetEarliestStart().AsTime().Equal(earliest) {
			t.Errorf("%s: %v", c.name, o)
		}
	}
	record.Start, record.End, record.State = time.Time{}, time.Time{}, "Closed"
	jira.Set("CHG-1042", record)
	refused := func(name string, words ...string) {
		t.Helper()
		step := stepOf(t, ask().GetOutlook(), "1")
		for _, word := range words {
			if step.GetStanding() != approvalv1.OutlookStep_STANDING_REFUSED || !strings.Contains(strings.Join(step.GetWaitsFor(), "; "), word) {
				t.Errorf("%s: no %q in %v", name, word, step)
			}
		}
	}
	refused("not approved", `is in state "Closed"`)
	jira.Fail(http.StatusBadGateway)
	images.err = fmt.Errorf("%w: dial tcp 127.0.0.1:5000: connect: connection refused", referrers.ErrUnreachable)
	refused("nobody answers", "HTTP 502", "change-record is not known now: it is asked for again for up to 10m0s", "what is beside shop is not known now", "registry cannot be asked")
	if o := ask().GetOutlook(); !slices.Contains(rules(o), changerecord.RuleUnknown) {
		t.Errorf("nobody answers: %v", o)
	}
	if after := r.last(t); after != before {
		t.Errorf("the stream has %d events, and had %d", after, before)
	}
	if now := kept(t, r); now != stored {
		t.Errorf("the store of evidence has %d messages, and had %d", now, stored)
	}
}

// kept is how many messages the store of evidence has.
func kept(t *testing.T, r *rig) uint64 {
	t.Helper()
	stream, err := r.JetStream().Stream(t.Context(), "OBJ_"+eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}
