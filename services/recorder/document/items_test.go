package document_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// everything is a release to which all of it happened: it waited for evidence and for a
// freeze, of which somebody made an exception, was deployed, failed, was taken back, people
// were called, and agreed on what is to be done.
func everything(t *testing.T) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request())
	to(t, h, procedure.PhaseGates)
	held := proceduretest.Hold(procedure.HoldEvidenceMissing, h.Now.Add(time.Hour))
	held.Reasons[0].Subject = "tests"
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_GatesHeld{GatesHeld: held}})
	h.Advance(20 * time.Minute)
	to(t, h, procedure.PhaseRisk)
	h.Do(t, "ben", proceduretest.Override("freeze-1"))
	to(t, h, procedure.PhaseVerify)
	h.Do(t, "", rich(h, proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false)))
	to(t, h, procedure.PhaseFollowUp)
	h.Do(t, "otto", proceduretest.FollowUp(h.State()))
	to(t, h, procedure.PhaseClosed)
	return h
}

// TestEveryItemOfTheRecord goes through what step 8 has to hold, item by item (PD-8.1): each
// is there with its value, in JSON under its key and in Markdown.
func TestEveryItemOfTheRecord(t *testing.T) {
	h := everything(t)
	r := document.Build(h.Release, messages(h)).Given("7", &recorderv1.WayBack{Release: "shop-back", Phase: "approve"})
	var given map[string]json.RawMessage
	text := encode(t, r)
	if err := json.Unmarshal(text, &given); err != nil {
		t.Fatal(err)
	}
	page := string(r.Markdown())
	for _, item := range []struct {
		name, key string
		json      []string
		markdown  []string
	}{
		{
			"request", "request",
			[]string{`"idempotency_key": "ci-4711"`, `"requester": "rita"`, `"owner": "otto"`, `"id": "CHG-1042"`},
			[]string{"| Requested | 2026-03-02 09:00:01.000 UTC by rita |", "| Change record | CHG-1042 (jira) |", "| Idempotency key | `ci-4711` |"},
		},
		{
			"gate results with evidence digests", "gates",
			[]string{`"gate": "code-review"`, `"status": "STATUS_PASSED"`, `"signed_by": "ci-2026"`, proceduretest.Digest('e')},
			[]string{"| code-review | passed | signed by ci |", "| proof for the gates: evidence-0 | `" + proceduretest.Digest('e') + "` |"},
		},
		{
			"approvals with signatures and what was shown", "approvals",
			[]string{`"person": "anna"`, `"counted_for": "release-managers"`, `"signed_by": "key"`, `"shown_digest": "` + proceduretest.Digest('f'), `"change_digest": "` + r.ChangeDigest},
			[]string{"| anna | release-managers | release-managers | 2026-03-02 10:00:08.000 UTC |", "mtls, signed with `key`", "| what anna was shown | `" + proceduretest.Digest('f') + "` |"},
		},
		{
			"authorization", "authorization",
			[]string{`"sequence": 11`, `"group": "security"`, `"valid_until": "2026-03-02T22:00:08Z"`},
			[]string{"| Authorized | 2026-03-02 10:00:10.000 UTC (event 11) |"},
		},
		{
			"notices with receipts", "notices",
			[]string{`"occasion": "OCCASION_START"`, `"delivered": true`, `"response": "HTTP 200 OK"`, `"body_digest": "` + proceduretest.Digest('9')},
			[]string{"| 12 | start | chat | yes | 1 | 2026-03-02 10:00:10.000 UTC | HTTP 200 OK |", "| notice of start to chat | `" + proceduretest.Digest('9') + "` |"},
		},
		{
			"execution timeline", "execution",
			[]string{`"type": "execution_claimed"`, `"claimer": "executor-1"`, `"type": "execution_finished"`, `"fence": "13"`, `"type": "targets_released"`},
			[]string{"| 13 | 2026-03-02 10:00:12.000 UTC | 1 | 1 | eu1 | `executor-1` |", "| 14 | 1 | eu1 | done | version 1.4.2"},
		},
		{
			"every event in its order", "timeline",
			[]string{`"type": "requested"`, `"sequence": 26`, `"type": "acknowledged"`, `"signed_by": "key"`},
			[]string{"| 1 | 2026-03-02 09:00:01.000 UTC | requested |", "| 20 | 2026-03-02 10:00:19.000 UTC | recorded |"},
		},
		{
			"plan digest", "change_digest",
			[]string{r.ChangeDigest},
			[]string{"| change: everything that runs, as it was approved | `" + r.ChangeDigest + "` |"},
		},
		{
			"digest of the request", "request_digest", []string{r.RequestDigest}, []string{"| content of the request | `" + r.RequestDigest + "` |"},
		},
		{
			"digest of the procedure", "procedure_digest", []string{proceduretest.ProcedureDigest}, []string{"| procedure document | `" + proceduretest.ProcedureDigest + "` |"},
		},
		{
			"manifest digests", "artifacts", []string{`"name": "shop"`, `"digest": "` + proceduretest.Digest('a')}, []string{"| artifact shop | `" + proceduretest.Digest('a') + "` | 4096 |"},
		},
		{
			"preview", "previews", []string{`"rollback_ready": true`, proceduretest.Digest('3')}, []string{"| preview of eu1 | `" + proceduretest.Digest('3') + "` |"},
		},
		{
			"validation evidence", "verifications",
			[]string{`"name": "samples"`, proceduretest.Digest('2'), `"check": "health"`, `"samples": 12`},
			[]string{"| samples, event 15 | `" + proceduretest.Digest('2') + "` |", "| eu1 | health | fail | 12 | 9 | 3 | 0 |"},
		},
		{
			"verdict", "verifications",
			[]string{`"verdict": "VERDICT_FAIL"`, `"verdict": "VERDICT_PASS"`, "health on eu1: 3 failures one after the other"},
			[]string{"### Wave 1: failed", "### Way back: passed"},
		},
		{
			"rollback", "rollback",
			[]string{`"type": "rollback_claimed"`, `"type": "rolled_back"`, proceduretest.Digest('b')},
			[]string{"| 17 | 2026-03-02 10:00:16.000 UTC | 1 | rolled back |"},
		},
		{"link of a release that takes it back", "taken_back_by", []string{`"release": "shop-back"`}, []string{"`shop-back`"}},
		{
			"link of the incident", "incident", []string{`"incident": "INC-78"`, `"cause": "CAUSE_VALIDATION_FAILED"`, `"taken_on_by": "eve"`}, []string{"INC-78"},
		},
		{
			"timings: lead, execute, bake, total", "timings",
			[]string{`"lead_ms": 3611000`, `"execute_ms": 1000`, `"bake_ms": 1000`, `"planned_bake_ms": 120000`, `"remedy_ms": 3000`, `"total_ms": 3616000`},
			[]string{"| Lead, from the request to the first claim of a target | 1 h |", "| Deployment | 1 s |", "| Validation | 1 s; planned were 2 min |", "| Way back | 3 s |"},
		},
		{
			"timings: wait per phase", "timings",
			[]string{"\"phase\": \"approve\",\n        \"time_ms\": 3000", "\"phase\": \"held\",\n        \"time_ms\": 3600000"},
			[]string{"| A | approvals are awaited | `approve` | 3 s |", "| 3 | held | `held` | 1 h |"},
		},
		{
			"timings: wait per gate", "waits",
			[]string{"\"gate\": \"change-record\",\n      \"since\": \"2026-03-02T09:00:01Z\",\n      \"until\": \"2026-03-02T09:00:02Z\",\n      \"time_ms\": 1000", "\"until\": \"2026-03-02T10:00:03Z\",\n      \"time_ms\": 3602000"},
			[]string{"`ci-2026` | ada, alan | 1 s |", "`ci-2026` | – | 1 h |"},
		},
		{
			"timings: planned and actual", "planned",
			[]string{`"started_at": "2026-03-02T10:00:12Z"`, `"approve_by":`, `"waves": 1`, `"waves_deployed": 1`, `"waves_validated": 0`},
			[]string{"| Waves | 1 | 1 deployed, 0 of them validated |", "| Approvals, until |"},
		},
		{
			"deviations", "deviations",
			[]string{"wave 1 failed: health on eu1", "exception of freeze freeze-1 by ben"},
			[]string{"- wave 1 failed: health on eu1: 3 failures one after the other (event 15)"},
		},
		{
			"overrides", "decisions",
			[]string{`"type": "freeze_overridden"`, `"by": "ben"`, `"ticket": "INC-7"`},
			[]string{"- exception of freeze freeze-1 by ben, INC-7: customers cannot pay"},
		},
		{"holds", "holds", []string{`"type": "gates_held"`, `"rule": "evidence.missing"`, `"subject": "tests"`}, []string{"tests"}},
		{
			"who closed the incident", "incident",
			[]string{`"decision": "closed"`, `"by": "eve"`, `"reason": "the disk was full, and is not any more"`},
			[]string{"eve decided: closed", "the disk was full, and is not any more"},
		},
		{"escalations", "escalations", []string{`"type": "escalated"`, `"type": "acknowledged"`, `"by": "eve"`}, []string{"validation failed taken on by eve: mine"}},
		{
			"follow-ups", "follow_up_actions",
			[]string{`"action": "write a test for it"`, `"owner": "ada"`, `"due": "2026-03-07T09:00:00Z"`, `"added_by": "otto"`},
			[]string{"| 1 | write a test for it | ada | 2026-03-07 09:00:00.000 UTC | otto | open |"},
		},
		{
			"final outcome", "outcome",
			[]string{`"outcome": "rolled_back"`, `"ended_at": "2026-03-02T10:00:17Z"`, `"record_digest": "` + proceduretest.Digest('7'), `"record_as_of": 19`},
			[]string{"| Outcome | rolled back |", "The record was closed at 2026-03-02 10:00:19.000 UTC with the outcome rolled back (event 20)."},
		},
		{
			"closer", "closer",
			[]string{`"by": "eve"`, `"type": "incident_closed"`, `"sequence": 27`, `"service": "approval"`},
			[]string{"Nothing was owed any more from 2026-03-02 10:00:26.000 UTC on, closed by eve (event 27)."},
		},
		{"people", "people", []string{`"person": "rita"`, `"part": "requester"`, `"part": "approver"`}, []string{"| rita | requester |"}},
	} {
		for _, want := range item.json {
			if !strings.Contains(string(given[item.key]), want) {
				t.Errorf("%s: %q is not in %s: %s", item.name, want, item.key, given[item.key])
			}
		}
		for _, want := range item.markdown {
			if !strings.Contains(page, want) {
				t.Errorf("%s: %q is not in the document", item.name, want)
			}
		}
	}
	for name, got := range map[string]string{"everything.json": string(text), "everything.md": page} {
		file := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-rewrite takes it over):\n%s", file, diff)
		}
	}
}

// TestWhoClosesAReleaseIsAPersonOrAService, and nobody while it is open.
func TestWhoClosesAReleaseIsAPersonOrAService(t *testing.T) {
	for to, want := range map[procedure.Phase]*document.Closer{
		procedure.PhaseApprove: nil, procedure.PhaseClosed: {Type: "notified", Service: "approval"},
	} {
		h := history(t, to)
		got := document.Build(h.Release, messages(h)).Given("7").Closer
		if (got == nil) != (want == nil) {
			t.Fatalf("in phase %s: %+v", to, got)
		}
		if want != nil && (got.By != "" || got.Type != want.Type || got.Service != want.Service || got.Sequence != h.Last) {
			t.Errorf("closed by %+v", got)
		}
	}
}

// TestAGateThatIsStillMissingIsWaitedFor up to now, or to the end of the release.
func TestAGateThatIsStillMissingIsWaitedFor(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseGates)
	held := proceduretest.Hold(procedure.HoldEvidenceMissing, h.Now.Add(time.Hour))
	held.Reasons[0].Subject = "tests"
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_GatesHeld{GatesHeld: held}})
	h.Advance(10 * time.Minute)
	h.Do(t, "rita", proceduretest.Withdraw())
	got := document.Build(h.Release, messages(h)).Given("7").Waits
	if len(got) != 1 || got[0].Gate != "tests" || got[0].Until != nil || got[0].Time != h.Now.Sub(got[0].Since).Milliseconds() || got[0].Time < 600_000 {
		t.Errorf("waits %+v, now %s", got, h.Now)
	}
}
