package whatif

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// way is an outlook that is written step by step, by the document of the release.
type way struct {
	index *policy.Index
	// documents are it, and the one in effect where that is another one.
	documents []*policy.Index
	// normal: it waits for neighbors in flight and for incidents, as takeback.Normal says.
	normal bool
	// reviewers are those of procedure documents, by digest.
	reviewers map[string][]string
	out       *approvalv1.Outlook
}

func (w way) step(number, name string, standing approvalv1.OutlookStep_Standing, waits ...string) *approvalv1.OutlookStep {
	s := &approvalv1.OutlookStep{Number: number, Name: name, Standing: standing, WaitsFor: waits}
	w.out.Steps = append(w.out.Steps, s)
	return s
}

// unknown are steps of which nothing can be said.
func (w way) unknown(numbers ...string) {
	for _, stage := range procedure.Stages(procedure.State{}, time.Time{}) {
		if slices.Contains(numbers, stage.Number) {
			w.step(stage.Number, stage.Name, approvalv1.OutlookStep_STANDING_UNKNOWN)
		}
	}
}

// gates is step 1 as it would be decided, by what change records say.
func (w way) gates(decided *releasev1.Event, records []changerecord.Result) []*releasev1.GateVerdict {
	verdicts, standing := decided.GetGatesConfirmed().GetVerdicts(), approvalv1.OutlookStep_STANDING_DONE
	if refused := decided.GetGatesRefused(); refused != nil {
		verdicts, standing = refused.GetVerdicts(), approvalv1.OutlookStep_STANDING_REFUSED
	}
	step := w.step("1", "gates", standing)
	for _, v := range verdicts {
		if v.GetStatus() == releasev1.GateVerdict_STATUS_FAILED {
			step.WaitsFor = append(step.WaitsFor, v.GetGate()+": "+v.GetReason())
		}
	}
	if standing == approvalv1.OutlookStep_STANDING_REFUSED {
		step.WaitsFor = append(step.WaitsFor, w.again(decided, records)...)
	}
	return verdicts
}

// risk is step 3 as it would be decided.
func (w way) risk(s procedure.State, decided *releasev1.Event, now time.Time) {
	switch {
	case decided.GetRiskRefused() != nil:
		step := w.step("3", "risk", approvalv1.OutlookStep_STANDING_REFUSED)
		for _, f := range decided.GetRiskRefused().GetFindings() {
			if f.GetSeverity() == releasev1.Finding_SEVERITY_BLOCKING {
				step.WaitsFor = append(step.WaitsFor, f.GetRule()+": "+f.GetMessage())
			}
		}
	case decided.GetHeld() != nil:
		step := w.step("3", "risk", approvalv1.OutlookStep_STANDING_AHEAD)
		for _, h := range decided.GetHeld().GetReasons() {
			step.WaitsFor = append(step.WaitsFor, strings.TrimSpace(h.GetRule()+" "+h.GetSubject())+": "+h.GetMessage())
			step.Who = append(step.Who, w.over(s, h, now)...)
		}
		slices.Sort(step.GetWho())
		step.Who = slices.Compact(step.GetWho())
		step.Until = decided.GetHeld().GetUntil()
	default:
		w.step("3", "risk", approvalv1.OutlookStep_STANDING_DONE)
	}
}

// approvals is which people may give those that are missing.
func (w way) approvals(s procedure.State, now time.Time) {
	step := w.step("A", "authorize", approvalv1.OutlookStep_STANDING_AHEAD)
	_, missing := procedure.Count(s, now)
	for _, m := range missing {
		step.WaitsFor = append(step.WaitsFor, fmt.Sprintf("%d approval(s) by %s", m.GetCount(), m.GetGroup()))
	}
	step.Who, step.Until = w.approvers(s, now), timestamppb.New(s.ApproveBy)
	w.few(step, s, missing, now)
}

// approvers are the people who may approve, whose approval is missing.
func (w way) approvers(s procedure.State, now time.Time) []string {
	_, missing := procedure.Count(s, now)
	var out []string
	for _, m := range missing {
		for _, person := range w.able(s, m.GetGroup(), now) {
			if !slices.Contains(out, person) {
				out = append(out, person)
			}
		}
	}
	return out
}

// signers are those who may answer the checks that ask people, and that nobody has answered.
func (w way) signers(s procedure.State, now time.Time) (out []string) {
	for _, o := range procedure.Unanswered(s) {
		for _, group := range o.Groups {
			for _, person := range w.index.PeopleAt(group, now) {
				actor := &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Groups: w.index.GroupsAt(person, now)}
				if procedure.MaySignOff(s, actor, o.Check, now) == "" && !slices.Contains(out, person) {
					out = append(out, person)
				}
			}
		}
	}
	return out
}

func (w way) able(s procedure.State, group string, now time.Time) []string {
	return slices.DeleteFunc(w.index.PeopleAt(group, now), func(person string) bool {
		actor := &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Groups: w.index.GroupsAt(person, now)}
		return procedure.MayApprove(s, actor, s.ChangeDigest, now) != nil
	})
}

// everAble are those of a group who could approve now or when they are on call.
func (w way) everAble(s procedure.State, group string, now time.Time) []string {
	return slices.DeleteFunc(w.index.Ever(group), func(person string) bool {
		actor := &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Groups: append(w.index.GroupsOf(person), group)}
		return procedure.MayApprove(s, actor, s.ChangeDigest, now) != nil
	})
}

// few says where there are fewer people than are needed: nobody would ever find out but
// by waiting.
func (w way) few(step *approvalv1.OutlookStep, s procedure.State, missing []*releasev1.QuorumRule, now time.Time) {
	for _, m := range missing {
		if n := len(w.everAble(s, m.GetGroup(), now)); n < int(m.GetCount()) {
			step.WaitsFor = append(step.WaitsFor, fmt.Sprintf("only %d of %s may approve this: the others have a part in it, or have approved", n, m.GetGroup()))
		}
	}
}

// rest are the steps behind the authorization.
func (w way) rest(s procedure.State) {
	r := s.Request
	notify := w.step("4", "notify", approvalv1.OutlookStep_STANDING_AHEAD)
	for _, c := range w.index.Document().GetChannels() {
		if slices.Contains(c.GetOccasions(), releasev1.Occasion_OCCASION_START) && (len(c.GetEnvironments()) == 0 || slices.Contains(c.GetEnvironments(), r.GetEnvironment())) &&
			(len(c.GetServices()) == 0 || slices.Contains(c.GetServices(), r.GetService())) {
			notify.WaitsFor = append(notify.WaitsFor, "channel "+c.GetName()+" is told")
		}
	}
	execute := w.step("5", "execute", approvalv1.OutlookStep_STANDING_AHEAD, fmt.Sprintf("%d wave(s)", len(r.GetPlan().GetWaves())))
	execute.Who = []string{procedure.ServiceExecutor}
	w.watched(execute, []*policy.Index{w.index}, r)
	verify := w.step("6", "verify", approvalv1.OutlookStep_STANDING_AHEAD, "each wave for "+r.GetValidation().GetBake().AsDuration().String())
	verify.Who, verify.WaitsFor = []string{procedure.ServiceValidator}, append(verify.GetWaitsFor(), w.index.Aftermath(s)...)
	w.step("8", "record", approvalv1.OutlookStep_STANDING_AHEAD).Who = []string{procedure.ServiceRecorder}
}

// watched says which alerts are asked for again at the start of every wave, and which
// services are looked at: whether they fire then, and what is in flight, nobody knows now.
// The executor asks for alerts by the document of the release, and looks at other releases by
// the one in effect as well.
func (w way) watched(step *approvalv1.OutlookStep, documents []*policy.Index, r *releasev1.Request) {
	for _, rule := range w.index.Document().GetAlerts() {
		if toCome(step) && alerts.Applies(rule, r) && !alerts.Bypass(rule, r) {
			step.WaitsFor = append(step.WaitsFor, fmt.Sprintf("no alert of rule %s fires then, by %s", rule.GetName(), rule.GetSource()))
		}
	}
	w.neighbors(step, documents, r)
}

// neighbors says of which services nothing may be in flight, or have an open incident, at the
// start of every wave.
func (w way) neighbors(step *approvalv1.OutlookStep, documents []*policy.Index, r *releasev1.Request) {
	if !w.normal || !toCome(step) {
		return
	}
	if names := inflight.Neighbors(documents, r); len(names) > 0 {
		step.WaitsFor = append(step.WaitsFor, "no release of "+strings.Join(names, ", ")+" is in flight then")
	}
	var of []string
	for _, index := range documents {
		of = append(of, incident.Services(index, r)...)
	}
	slices.Sort(of)
	if of = slices.Compact(of); len(of) > 0 {
		step.WaitsFor = append(step.WaitsFor, "no other release has an open incident then, of "+strings.Join(of, ", "))
	}
}

// toCome reports whether a step is to come, or in work.
func toCome(step *approvalv1.OutlookStep) bool {
	return step.GetStanding() == approvalv1.OutlookStep_STANDING_AHEAD || step.GetStanding() == approvalv1.OutlookStep_STANDING_NOW
}

// over are the people who can do something about a reason to wait.
func (w way) over(s procedure.State, h *releasev1.HoldReason, now time.Time) []string {
	doc := w.index.Document()
	switch h.GetRule() {
	case procedure.HoldFreeze:
		i := slices.IndexFunc(doc.GetFreezes(), func(f *policyv1.Freeze) bool { return f.GetName() == h.GetSubject() })
		if i < 0 {
			return nil
		}
		out := slices.Clone(doc.GetFreezes()[i].GetOverridePeople())
		for _, g := range doc.GetFreezes()[i].GetOverrideGroups() {
			out = append(out, w.index.People(g)...)
		}
		return slices.DeleteFunc(out, func(person string) bool {
			return procedure.MayOverride(s, &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN}) != nil
		})
	case incident.Rule, inflight.RuleDependency, inflight.RuleDependent:
		// Somebody has to bring the other release to its end, or close its incident.
		return w.handlers("", now)
	case procedure.HoldRollbackUnproved, procedure.HoldRollbackUnknown, procedure.HoldPreviewUnknown:
		// Somebody has to put it right on the target, or at the registry.
		return w.index.PeopleAt(doc.GetOperatorsGroup(), now)
	case procedure.HoldPaused:
		return w.handlers(s.Request.GetOwner(), now)
	case procedure.HoldDocumentUnreviewed:
		return w.reviewers[h.GetSubject()]
	case "review.overdue":
		return w.index.People(doc.GetEmergency().GetReviewGroup())
	}
	return nil
}

// handlers are who may handle what is under way, besides its owner: the operators of its own document
// and of the one in effect, who have not left by the latter (procedure.ByEither). In alphabetical order.
func (w way) handlers(owner string, now time.Time) []string {
	all := []string{owner}
	for _, index := range w.documents {
		all = append(all, index.PeopleAt(index.Document().GetOperatorsGroup(), now)...)
	}
	newest := w.documents[len(w.documents)-1]
	all = slices.DeleteFunc(all, func(id string) bool {
		who := newest.Person(id)
		return who == nil || who.GetId() != id || who.GetInactive() || who.GetMachine()
	})
	slices.Sort(all)
	return slices.Compact(all)
}

// start is from when on nothing but people and work is waited for, by all the documents
// that the start is judged by, and not before a time.
func (w way) start(documents []*policy.Index, s procedure.State, now, from time.Time) error {
	holds, earliest, err := Earliest(documents, s, now, from)
	w.out.Holds, w.out.EarliestStart = holds, timestamppb.New(earliest)
	if len(holds) > 0 {
		w.out.ZoneData = freeze.ZoneData()
	}
	if s.Paused() {
		w.out.Holds = append([]*releasev1.HoldReason{procedure.PauseHold(s)}, w.out.GetHolds()...)
	}
	return err
}

// Earliest names the freezes that would hold a start at that time, and the earliest
// feasible start: by the release's own document and by that in effect, as the executor
// looks at them, and not before the request lets it, nor before those times, which are when
// windows begin.
func Earliest(documents []*policy.Index, s procedure.State, now time.Time, from ...time.Time) ([]*releasev1.HoldReason, time.Time, error) {
	var holds []*releasev1.HoldReason
	earliest := now
	if nb := s.Request.GetNotBefore(); nb != nil && now.Before(nb.AsTime()) {
		earliest = nb.AsTime()
	}
	for _, t := range from {
		if t.After(earliest) {
			earliest = t
		}
	}
	// What is free by one document may be held by the other, later on.
	for settled := false; !settled && earliest.Sub(now) < freeze.Horizon; {
		settled = true
		for _, index := range documents {
			j, err := index.Freezes(s, earliest)
			if err != nil {
				return nil, earliest, err
			}
			for _, h := range j.Holds() {
				if !slices.ContainsFunc(holds, func(o *releasev1.HoldReason) bool { return o.GetSubject() == h.GetSubject() }) {
					holds = append(holds, h)
				}
			}
			if j.Until.After(earliest) {
				earliest, settled = j.Until, false
			}
		}
	}
	return holds, earliest, nil
}
