package procedure_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// event builds the event that a verb stands for, and names the person who causes
// it; nil where the procedure has no such event now.
func (sc *scenario) event(verb string, words []string) (person string, event *releasev1.Event, err error) {
	if event, ok, err := sc.ofMachine(verb, words); ok {
		return "", event, err
	}
	if len(words) == 0 {
		return "", nil, unclearf("who does it?")
	}
	event, err = sc.ofPerson(verb, words)
	return words[0], event, err
}

func (sc *scenario) ofMachine(verb string, words []string) (*releasev1.Event, bool, error) {
	s, now := sc.h.State(), sc.h.Now
	first, rest := "", []string{}
	if len(words) > 0 {
		first, rest = words[0], words[1:]
	}
	switch verb {
	case "requested":
		return proceduretest.Requested(sc.h.Asked, now), true, nil
	case "evidence": // evidence <digit>
		return proceduretest.Evidence(first[0]), true, nil
	case "gates": // gates pass | gates fail <gate>... | gates waive <gate> <owner> <duration> [<environment> [<service>]] | gates hold <duration>
		if first == "hold" {
			d, err := time.ParseDuration(rest[0])
			if err != nil {
				return nil, true, unclearf("%v", err)
			}
			return &releasev1.Event{Data: &releasev1.Event_GatesHeld{GatesHeld: proceduretest.Hold(procedure.HoldEvidenceMissing, now.Add(d))}}, true, nil
		}
		if first == "waive" {
			d, err := time.ParseDuration(rest[2])
			if err != nil {
				return nil, true, unclearf("%v", err)
			}
			return waivedFor(proceduretest.Waived(s, rest[0], rest[1], now.Add(d)), rest[3:]), true, nil
		}
		return proceduretest.Gates(s, rest...), true, nil
	case "scope": // scope pass | scope refuse <rule>...
		return proceduretest.Scope(s, rest...), true, nil
	case "preview": // preview ready | preview unready <target>... | preview refuse <rule>...
		unready, refused := rest, []string(nil)
		if first == "refuse" {
			unready, refused = nil, rest
		}
		return proceduretest.Preview(s, sc.h.Class, unready, refused), true, nil
	case "risk": // risk clear [quorum=g:n,...] [remind=<duration>] [announced] | risk hold <rule> <duration> | risk refuse <rule>...
		e, err := sc.risk(first, rest)
		return e, true, err
	case "start-held": // start-held <rule> <duration>
		d, err := time.ParseDuration(rest[0])
		if err != nil {
			return nil, true, unclearf("%v", err)
		}
		return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(first, now.Add(d))}}, true, nil
	case "freed": // freed <release> <sequence> <target>...: that one let these go
		n, err := strconv.ParseUint(rest[0], 10, 64)
		if err != nil {
			return nil, true, unclearf("%v", err)
		}
		return &releasev1.Event{Data: &releasev1.Event_TargetFreed{
			TargetFreed: &releasev1.TargetFreed{Release: first, Sequence: n, Targets: rest[1:]},
		}}, true, nil
	case "authorize":
		return proceduretest.Authorize(s, now), true, nil
	case "supersede":
		return proceduretest.Supersede(first), true, nil
	case "notify": // notify | notify <duration> one|everybody <person>...: who has to know of it
		switch first {
		case "":
			return proceduretest.Notify(s), true, nil
		case "followed": // those who are told are told again when it is no longer so
			return proceduretest.NotifyFollowed(s), true, nil
		case "timed": // notify timed [<rule> <duration>]: and when it waits for another time
			if len(rest) == 0 {
				return proceduretest.NotifyTimed(s), true, nil
			}
			d, err := time.ParseDuration(rest[1])
			if err != nil {
				return nil, true, unclearf("%v", err)
			}
			return proceduretest.NotifyTimed(s, proceduretest.Hold(rest[0], now.Add(d)).GetReasons()...), true, nil
		case "later": // a channel is told of what was deferred
			return proceduretest.Later(s), true, nil
		case "deferred": // notify deferred <duration> <channel>: it is told later
			d, err := time.ParseDuration(rest[0])
			if err != nil {
				return nil, true, unclearf("%v", err)
			}
			return proceduretest.NotifyDeferred(s, rest[1], now.Add(d)), true, nil
		}
		d, err := time.ParseDuration(first)
		if err != nil || len(rest) == 0 {
			return nil, true, unclearf("until when, and who?")
		}
		return proceduretest.NotifyWaiting(s, now.Add(d), rest[0] == "everybody", rest[1:]...), true, nil
	case "overrun": // overrun <freeze>
		return proceduretest.Overrun(s, first), true, nil
	case "claim": // claim <executor> [other-digest|around gate <gate>|past <rule>|against <rule>]
		e := proceduretest.Claim(s, first, now)
		if len(rest) == 2 && (rest[0] == "past" || rest[0] == "against") {
			e.GetExecutionClaimed().Findings = proceduretest.Blocking(rest[1])
			if rest[0] == "past" {
				e.GetExecutionClaimed().Findings[0].Severity = releasev1.Finding_SEVERITY_WARNING
			}
			return e, true, nil
		}
		if len(rest) > 0 && rest[0] == "around" {
			e.GetExecutionClaimed().Bypassed = []string{strings.Join(rest[1:], " ")}
		} else if len(rest) > 0 {
			e.GetExecutionClaimed().ChangeDigest = proceduretest.Digest('0')
		}
		return e, true, nil
	case "executed": // executed [<target>=failed|unknown|manual]... [remedy ...]
		words, r, err := remedy(words)
		e := proceduretest.Executed(s, statuses(words))
		for _, result := range e.GetExecutionFailed().GetResults() {
			if slices.Contains(words, result.GetTarget()+"=manual") {
				result.ManualChange = &releasev1.ManualChange{Object: "Deployment shop", Field: ".spec.replicas", Manager: "kubectl-edit"}
			}
		}
		return proceduretest.Prescribed(s, e, r), true, err
	case "lost": // lost [<target>...]: another executor says that nobody can tell what the claimer did
		return proceduretest.Lost(s, words...), true, nil
	case "refuse":
		return &releasev1.Event{Data: &releasev1.Event_ExecutionRefused{
			ExecutionRefused: &releasev1.ExecutionRefused{Findings: proceduretest.Blocking(words...)},
		}}, true, nil
	case "verify": // verify pass|fail|inconclusive [ask] [beside pass|fail|inconclusive <target>...] [remedy ...]
		rest, r, err := remedy(rest)
		i := slices.Index(rest, "beside")
		e := proceduretest.Prescribed(s, proceduretest.Verified(s, verdict(first), slices.Contains(rest, "ask")), r)
		if i >= 0 {
			e = proceduretest.Beside(e, verdict(rest[i+1]), rest[i+2:]...)
		}
		return e, true, err
	case "remedy": // remedy <executor>
		return proceduretest.Remedy(s, first, now), true, nil
	case "take-back": // take-back <executor>: claims the way back without asking whether there is one
		s.Forced = true
		return proceduretest.Remedy(s, first, now), true, nil
	case "unavailable": // the executor finds that there is no way back
		return &releasev1.Event{Data: &releasev1.Event_RollbackUnavailable{
			RollbackUnavailable: &releasev1.RollbackUnavailable{Reason: "1.4.1 is gone"},
		}}, true, nil
	case "rolled": // rolled [<target>=failed|unknown]...
		return proceduretest.RolledBack(s, statuses(words)), true, nil
	case "release":
		return proceduretest.Released(s), true, nil
	case "record":
		return proceduretest.Recorded(s), true, nil
	case "escalate":
		return proceduretest.Escalate(s, now), true, nil
	case "early": // the clock says that the next deadline has passed before it has
		d, _ := procedure.NextDeadline(s)
		return procedure.DecideDeadline(s, d.At), true, nil
	}
	return nil, false, nil
}

func verdict(of string) releasev1.CheckResult_Verdict {
	return releasev1.CheckResult_Verdict(releasev1.CheckResult_Verdict_value["VERDICT_"+strings.ToUpper(of)])
}

// remedy reads what the document says of a failure: ... remedy roll_back|escalate|ask <duration> <otherwise>.
func remedy(words []string) (before []string, r *releasev1.Remedy, err error) {
	i := slices.Index(words, "remedy")
	if i < 0 {
		return words, nil, nil
	}
	action := func(of string) releasev1.Remedy_Action {
		return releasev1.Remedy_Action(releasev1.Remedy_Action_value["ACTION_"+strings.ToUpper(of)])
	}
	if before, words = words[:i], words[i+1:]; words[0] != "ask" {
		return before, &releasev1.Remedy{Row: words[0], Action: action(words[0])}, nil
	}
	d, err := time.ParseDuration(words[1])
	if err != nil {
		return nil, nil, unclearf("%v", err)
	}
	return before, proceduretest.Ask(d, action(words[2])), nil
}

func (sc *scenario) risk(what string, words []string) (*releasev1.Event, error) {
	s, now := sc.h.State(), sc.h.Now
	switch what {
	case "clear":
		e := proceduretest.Risk(s, now, func(f *procedure.RiskFacts) {
			for _, w := range words {
				if d, err := time.ParseDuration(strings.TrimPrefix(w, "remind=")); err == nil {
					f.RemindAt = now.Add(d)
				}
				f.Announced = f.Announced || w == "announced"
				if rules, ok := strings.CutPrefix(w, "quorum="); ok {
					f.Quorum = quorum(rules)
				}
			}
		})
		if slices.Contains(words, "unfollowed") { // as it was before that was done
			e.GetRiskCleared().ApprovalsFollowed = false
		}
		return e, nil
	case "hold":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return nil, unclearf("%v", err)
		}
		return proceduretest.Risk(s, now, func(f *procedure.RiskFacts) {
			hold := proceduretest.Hold(words[0], now.Add(d))
			f.Holds, f.Until = hold.GetReasons(), hold.GetUntil().AsTime()
		}), nil
	case "refuse":
		return proceduretest.Risk(s, now, func(f *procedure.RiskFacts) { f.Findings = proceduretest.Blocking(words...) }), nil
	}
	return nil, unclearf("risk does not %s", what)
}

func (sc *scenario) ofPerson(verb string, words []string) (*releasev1.Event, error) {
	s, now := sc.h.State(), sc.h.Now
	switch verb {
	case "approve": // approve <person> [for <duration>] [other-digest] [signed [<time ago>]]
		expires := now.Add(12 * time.Hour)
		if len(words) > 2 && words[1] == "for" {
			d, err := time.ParseDuration(words[2])
			if err != nil {
				return nil, unclearf("%v", err)
			}
			expires = now.Add(d)
		}
		e := proceduretest.Approval(s, expires)
		if words[len(words)-1] == "other-digest" {
			e.GetApprovalGiven().ChangeDigest = proceduretest.Digest('0')
		}
		if i := slices.Index(words, "signed"); i > 0 {
			var ago time.Duration
			if i+1 < len(words) {
				var err error
				if ago, err = time.ParseDuration(words[i+1]); err != nil {
					return nil, unclearf("%v", err)
				}
			}
			e.GetApprovalGiven().Signature = &releasev1.ApprovalSignature{
				Signed: timestamppb.New(now.Add(-ago)), Expires: e.GetApprovalGiven().GetExpires(), Armored: "a signature",
			}
		}
		return e, nil
	case "stand-in": // stand-in <person> <for> [<between>...] in <group>...: approves in place of another
		e, i := proceduretest.Approval(s, now.Add(12*time.Hour)), slices.Index(words, "in")
		if i < 2 {
			return nil, unclearf("in which groups?")
		}
		stand := &releasev1.StandIn{Person: words[1], Groups: words[i+1:]}
		way := append(append([]string{words[1]}, words[2:i]...), words[0])
		for n := range way[1:] {
			stand.Delegations = append(stand.Delegations, &releasev1.Delegation{Number: uint32(n) + 1, Person: way[n], StandIn: way[n+1]})
		}
		e.GetApprovalGiven().StandIn = stand
		return e, nil
	case "unapprove":
		return proceduretest.WithdrawApproval(), nil
	case "reject":
		return proceduretest.Reject(), nil
	case "withdraw":
		return proceduretest.Withdraw(), nil
	case "abort":
		return proceduretest.Abort(), nil
	case "impact": // impact <person>: nobody expected it
		return proceduretest.Impact(), nil
	case "attempt": // attempt <person>: to authorize an emergency
		return proceduretest.Attempt(), nil
	case "know": // know <person>: of the start
		return proceduretest.Know(), nil
	case "close": // close <person>
		return proceduretest.CloseIncident(s), nil
	case "acknowledge": // acknowledge <person> <cause>
		return proceduretest.Acknowledge(releasev1.Cause(releasev1.Cause_value["CAUSE_"+strings.ToUpper(words[1])])), nil
	case "intervene": // intervene <person> retry|roll_back|accept|confirm_done
		return procedure.DecideIntervention(s, releasev1.Intervened_Action(releasev1.Intervened_Action_value["ACTION_"+strings.ToUpper(words[1])]), "looked at it"), nil
	case "resume": // resume <person>: retry, as it was recorded before it said whether it starts anew
		return proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY), nil
	case "review":
		return proceduretest.Review(), nil
	case "override": // override <person> <freeze> [<who set it>]
		e := proceduretest.Override(words[1])
		if len(words) > 2 {
			e.GetFreezeOverridden().SetBy = words[2]
		}
		return e, nil
	case "follow_up": // follow_up <person>
		return proceduretest.FollowUp(s), nil
	case "done": // done <person> <number>
		n, err := strconv.ParseUint(words[1], 10, 32)
		if err != nil {
			return nil, unclearf("%v", err)
		}
		return proceduretest.FollowUpDone(uint32(n)), nil
	}
	return nil, unclearf("nobody can %s", verb)
}

// waivedFor makes waivers say for which environment and which service they were given;
// "-" is none.
func waivedFor(e *releasev1.Event, names []string) *releasev1.Event {
	for _, v := range e.GetGatesConfirmed().GetVerdicts() {
		for _, w := range v.GetWaivers() {
			if len(names) > 0 {
				w.Environment = strings.TrimPrefix(names[0], "-")
			}
			if len(names) > 1 {
				w.Service = names[1]
			}
		}
	}
	return e
}
