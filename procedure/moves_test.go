package procedure_test

import (
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// move is something that anybody may try in any state, whether or not it fits.
type move struct {
	name string
	// person causes it; empty for a service.
	person string
	// build returns the event; nil where there is none in this state.
	build func(s procedure.State, now time.Time) *releasev1.Event
	// from is how long whoever makes the move waits for it first; nil where nobody waits.
	from func(s procedure.State) time.Time
}

// moves is everything that services and people can do to the release of the
// request, each in its canonical form.
func moves(request *releasev1.Request, class releasev1.DriverClass) []move {
	var all []move
	add := func(name, person string, build func(s procedure.State, now time.Time) *releasev1.Event) {
		all = append(all, move{name: name, person: person, build: build})
	}
	// What is built is kept by the states that come of it, so each gets its own.
	fixed := func(e *releasev1.Event) func(procedure.State, time.Time) *releasev1.Event {
		return func(procedure.State, time.Time) *releasev1.Event { return &releasev1.Event{Data: e.GetData()} }
	}
	of := func(build func(procedure.State) *releasev1.Event) func(procedure.State, time.Time) *releasev1.Event {
		return func(s procedure.State, _ time.Time) *releasev1.Event { return build(s) }
	}
	targets := procedure.Targets(request)
	last := targets[len(targets)-1]

	twice := proceduretest.Requested(request, proceduretest.Start)
	add("requested", "", func(s procedure.State, now time.Time) *releasev1.Event {
		if s.Phase != procedure.PhaseNone {
			return &releasev1.Event{Data: twice.GetData()} // Its digest takes long, and it is refused.
		}
		return proceduretest.Requested(request, now)
	})
	for name, failed := range map[string][]string{"pass": nil, "fail": {"tests"}, "bypass": {"change-record"}} {
		add("gates "+name, "", of(func(s procedure.State) *releasev1.Event { return proceduretest.Gates(s, failed...) }))
	}
	add("gates hold", "", func(_ procedure.State, now time.Time) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_GatesHeld{GatesHeld: proceduretest.Hold(procedure.HoldEvidenceMissing, now.Add(time.Hour))}}
	})
	add("evidence", "", of(func(procedure.State) *releasev1.Event { return proceduretest.Evidence('1') }))
	add("scope pass", "", of(func(s procedure.State) *releasev1.Event { return proceduretest.Scope(s) }))
	add("scope refuse", "", of(func(s procedure.State) *releasev1.Event { return proceduretest.Scope(s, "owner.unknown") }))
	add("preview ready", "", of(func(s procedure.State) *releasev1.Event { return proceduretest.Preview(s, class, nil, nil) }))
	add("preview unready", "", of(func(s procedure.State) *releasev1.Event {
		return proceduretest.Preview(s, class, []string{last}, nil)
	}))
	add("preview refuse", "", of(func(s procedure.State) *releasev1.Event {
		return proceduretest.Preview(s, class, nil, []string{"driver.unreachable"})
	}))
	add("risk clear", "", func(s procedure.State, now time.Time) *releasev1.Event {
		if s.Phase != procedure.PhaseRisk {
			return nil // Its digest takes longer than all other moves together.
		}
		return proceduretest.Risk(s, now)
	})
	add("risk refuse", "", func(s procedure.State, now time.Time) *releasev1.Event {
		return proceduretest.Risk(s, now, func(f *procedure.RiskFacts) { f.Findings = proceduretest.Blocking("review.overdue") })
	})
	add("risk hold", "", func(_ procedure.State, now time.Time) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold("freeze", now.Add(6*time.Hour))}}
	})
	add("risk busy", "", func(_ procedure.State, now time.Time) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold(procedure.HoldTargetBusy, now.Add(time.Hour))}}
	})
	add("start held", "", func(_ procedure.State, now time.Time) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("target.busy", now.Add(time.Hour))}}
	})
	add("freed", "", of(func(s procedure.State) *releasev1.Event {
		return procedure.DecideFreed(s, procedure.Freed{Release: "shop-other", Sequence: s.Freed.Sequence + 1}, procedure.Targets(s.Request))
	}))

	approvers := []string{"anna", "ben"}
	if request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY {
		approvers = []string{"otto", "eve"}
	}
	for _, person := range append(approvers, "rita") {
		add("approve "+person, person, func(s procedure.State, now time.Time) *releasev1.Event {
			return proceduretest.Approval(s, now.Add(12*time.Hour))
		})
		add("unapprove "+person, person, fixed(proceduretest.WithdrawApproval()))
	}
	add("reject", approvers[0], fixed(proceduretest.Reject()))
	add("authorize", "", proceduretest.Authorize)
	add("withdraw", "otto", fixed(proceduretest.Withdraw()))
	add("supersede", "", fixed(proceduretest.Supersede("shop-newer")))
	add("notify first", "", of(proceduretest.Notify))
	add("notify last", "", of(func(s procedure.State) *releasev1.Event {
		if n := len(s.Wanted); n > 1 {
			s.Wanted = s.Wanted[n-1:]
		}
		return proceduretest.Notify(s)
	}))
	all = append(all, work()...)
	for action := range releasev1.Intervened_Action_name {
		a := releasev1.Intervened_Action(action)
		add("intervene "+a.String(), "eve", fixed(proceduretest.Intervene(a)))
	}
	add("abort", "dan", fixed(proceduretest.Abort()))
	add("escalate", "", proceduretest.Escalate)
	add("acknowledge", "dan", of(func(s procedure.State) *releasev1.Event {
		if len(s.OpenEscalations()) == 0 {
			return nil
		}
		return proceduretest.Acknowledge(s.OpenEscalations()[0])
	}))
	add("close incident", "anna", of(func(s procedure.State) *releasev1.Event {
		if !procedure.MayClose(s) {
			return nil
		}
		return proceduretest.CloseIncident(s)
	}))
	add("review", "cleo", fixed(proceduretest.Review()))
	add("follow up", "anna", of(proceduretest.FollowUp))
	add("follow up done", "ada", fixed(proceduretest.FollowUpDone(1)))
	add("override", "dan", of(func(s procedure.State) *releasev1.Event {
		if len(s.Overrides) > 0 {
			return nil // One of them opens every way.
		}
		return proceduretest.Override("freeze-1")
	}))
	add("early", "", of(func(s procedure.State) *releasev1.Event {
		d, _ := procedure.NextDeadline(s)
		return procedure.DecideDeadline(s, d.At)
	}))
	return all
}

// work is what executor, validator and recorder do.
func work() []move {
	var all []move
	add := func(name string, build func(s procedure.State, now time.Time) *releasev1.Event) {
		all = append(all, move{name: name, build: build})
	}
	add("overrun", func(s procedure.State, _ time.Time) *releasev1.Event { return proceduretest.Overrun(s, "freeze-1") })
	claim := func(s procedure.State, now time.Time) *releasev1.Event {
		return procedure.DecideClaim(s, "executor-1", s.ChangeDigest, now.Add(time.Minute), now.Add(30*time.Minute))
	}
	remedy := func(s procedure.State, now time.Time) *releasev1.Event {
		return proceduretest.Remedy(s, "executor-1", now)
	}
	held := func(build func(procedure.State, time.Time) *releasev1.Event) func(procedure.State, time.Time) *releasev1.Event {
		return func(s procedure.State, now time.Time) *releasev1.Event {
			if s.Claim.Claimer == "" {
				return nil // There is no lease to wait for.
			}
			return build(s, now)
		}
	}
	lease := func(s procedure.State) time.Time { return s.Claim.LeaseUntil }
	add("claim", claim)
	add("refuse", func(procedure.State, time.Time) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_ExecutionRefused{
			ExecutionRefused: &releasev1.ExecutionRefused{Findings: proceduretest.Blocking("change.digest")},
		}}
	})
	add("remedy", remedy)
	all = append(all, move{name: "claim when the lease is over", build: held(claim), from: lease},
		move{name: "remedy when the lease is over", build: held(remedy), from: lease})
	add("remedy unavailable", func(procedure.State, time.Time) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_RollbackUnavailable{
			RollbackUnavailable: &releasev1.RollbackUnavailable{Reason: "the artifact is gone"},
		}}
	})
	add("lost", func(s procedure.State, _ time.Time) *releasev1.Event { return proceduretest.Lost(s) })
	for _, status := range []releasev1.TargetResult_Status{
		releasev1.TargetResult_STATUS_DONE, releasev1.TargetResult_STATUS_FAILED, releasev1.TargetResult_STATUS_UNKNOWN,
	} {
		add("executed "+status.String(), func(s procedure.State, _ time.Time) *releasev1.Event {
			results := map[string]releasev1.TargetResult_Status{}
			if wave := s.WaveTargets(); len(wave) > 0 && status != releasev1.TargetResult_STATUS_DONE {
				results[wave[0]] = status
			}
			return proceduretest.Executed(s, results)
		})
		add("rolled "+status.String(), func(s procedure.State, _ time.Time) *releasev1.Event {
			results := map[string]releasev1.TargetResult_Status{}
			if len(s.Touched) > 0 && status != releasev1.TargetResult_STATUS_DONE {
				results[s.Touched[0]] = status
			}
			return proceduretest.RolledBack(s, results)
		})
	}
	for _, verdict := range []releasev1.CheckResult_Verdict{
		releasev1.CheckResult_VERDICT_PASS, releasev1.CheckResult_VERDICT_FAIL, releasev1.CheckResult_VERDICT_INCONCLUSIVE,
	} {
		for _, ask := range []bool{false, true} {
			if ask && verdict != releasev1.CheckResult_VERDICT_INCONCLUSIVE {
				continue
			}
			name := "verified " + verdict.String()
			if ask {
				name += " ask"
			}
			add(name, func(s procedure.State, _ time.Time) *releasev1.Event { return proceduretest.Verified(s, verdict, ask) })
		}
	}
	all = append(all, remedies()...)
	add("release", func(s procedure.State, _ time.Time) *releasev1.Event { return proceduretest.Released(s) })
	add("record", func(s procedure.State, _ time.Time) *releasev1.Event { return proceduretest.Recorded(s) })
	return all
}

// remedies are failures of which the procedure document says what becomes of them.
func remedies() (all []move) {
	fail := func(s procedure.State) *releasev1.Event {
		if s.Phase != procedure.PhaseVerify {
			return nil
		}
		return proceduretest.Verified(s, releasev1.CheckResult_VERDICT_FAIL, false)
	}
	for name, r := range map[string]*releasev1.Remedy{
		"back":            {Action: releasev1.Remedy_ACTION_ROLL_BACK},
		"escalate":        {Action: releasev1.Remedy_ACTION_ESCALATE},
		"ask or back":     proceduretest.Ask(time.Hour, releasev1.Remedy_ACTION_ROLL_BACK),
		"ask or escalate": proceduretest.Ask(time.Hour, releasev1.Remedy_ACTION_ESCALATE),
	} {
		all = append(all, move{name: "verified fail, " + name, build: func(s procedure.State, _ time.Time) *releasev1.Event {
			if e := fail(s); e != nil {
				return proceduretest.Prescribed(s, e, r)
			}
			return nil
		}})
	}
	return append(all, move{name: "verified fail, both unhealthy", build: func(s procedure.State, _ time.Time) *releasev1.Event {
		if e := fail(s); e != nil {
			return proceduretest.Beside(e, releasev1.CheckResult_VERDICT_FAIL, "us1")
		}
		return nil
	}})
}
