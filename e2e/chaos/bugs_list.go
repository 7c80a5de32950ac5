package chaos

import (
	"time"

	"github.com/blackdice/shipwarden/internal/failpoint"
)

// bugs are mistakes that somebody could make in the protocol, each in one place.
var bugs = []bug{
	{
		name:  "a message is acknowledged before anything is stored",
		wants: []string{"stuck", "lost"},
		edits: []edit{{"internal/reactor/deliver.go", "	err = d.call(ctx, m)\n", "	_ = msg.Ack()\n	err = d.call(ctx, m)\n"}},
		focus: []string{"step.before", "append.before", "execute.claimed", "verify.judged"}, action: failpoint.Kill,
	},
	{
		name:  "no answer of the bus is taken for a yes",
		wants: []string{"lost", "stuck"},
		edits: []edit{{"internal/eventstore/gather.go", "		if err != nil {\n			go q.part(", "		if refused(err) {\n			go q.part("}},
		focus: []string{"append.before"}, action: failpoint.Error,
	},
	{
		name:  "a target compares neither fences nor keys",
		wants: []string{"double"},
		edits: []edit{
			{"services/executor/driver/fence/record.go", "	case f.Epoch == r.Epoch && f.Sequence < r.Sequence, slices", "	case slices"},
			{"services/executor/driver/fence/record.go", "	case slices.Contains(r.PastKeys, key):\n		return r, false,", "	case key == \"\":\n		return r, false,"},
		},
		focus: []string{"execute.fenced"}, action: failpoint.Stop, nap: 8 * time.Second, interval: 400 * time.Millisecond, bad: 70, calm: true, long: 100 * time.Second,
	},
	{
		name:  "an entry is written whoever has written it since",
		wants: []string{"double"},
		edits: []edit{{
			"internal/bucket/write.go", "	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(w.After, 10))\n", "	_ = strconv.FormatUint(w.After, 10)\n",
		}},
		focus: []string{"config.checked"}, action: failpoint.Stop, nap: 8 * time.Second, interval: 400 * time.Millisecond, bad: 70, calm: true, long: 100 * time.Second,
		service: "flags",
	},
	{
		name:  "a target that another release holds is taken",
		wants: []string{"double"},
		edits: []edit{
			{"internal/queue/queue.go", "	if target.LockedBy == \"\" || target.LockedBy == release {\n", "	if id != \"\" {\n"},
		},
		// Between lock and effect nobody sees on the target that somebody has it: whoever has
		// it sleeps there, and others want it.
		focus: []string{"execute.claimed"}, action: failpoint.Stop, fate: fateGood, interval: 200 * time.Millisecond, calm: true, long: 100 * time.Second,
		ackWait: 8 * time.Second, brief: true, service: "api",
	},
	{
		name:  "a lost command is run again",
		wants: []string{"double"},
		edits: []edit{{"procedure/step5_execute.go", "	default:\n		return false, 0\n", "	default:\n		return true, 0\n"}},
		focus: []string{"command.ran", "command.ended", "execute.applied"}, action: failpoint.Kill,
	},
	{
		name:  "a person decides while an executor that was lost may still begin",
		wants: []string{"early"},
		edits: []edit{{"procedure/step7_escalate.go", "	if e.Stored.Before(s.DecideFrom) {\n", "	if false {\n"}},
		focus: []string{"command.ticket", "command.started"}, action: failpoint.Stop, nap: 5 * time.Second, interval: 400 * time.Millisecond, calm: true, long: 60 * time.Second,
	},
	{
		name:  "a crash in the middle of an effect is forgotten",
		wants: []string{"double"},
		edits: []edit{{
			"services/executor/driver/noop/noop.go", "		if last.Digest == digest && (last.Effect == key.Effect() || action == ledger.Rollback) {\n",
			"		if last.Digest == digest && digest == \"\" {\n",
		}},
		focus: []string{"noop.counted"}, action: failpoint.Kill,
	},
	{
		name:     "an approval counts for whatever there is",
		wants:    []string{"unapproved"},
		edits:    []edit{{"procedure/authorize.go", "	case changeDigest != s.ChangeDigest:\n", "	case changeDigest == \"\":\n"}},
		unsigned: true, // What is signed is of one change by itself.
	},
	{
		name:  "an authorization never ends",
		wants: []string{"unapproved"},
		edits: []edit{
			{"procedure/step5_execute.go", "	case s.starts() && !e.Stored.Before(s.startBy()):\n", "	case false:\n"},
			{"procedure/step5_execute.go", "	if s.starts() {\n		// An authorization may", "	if false {\n		// An authorization may"},
			{
				"procedure/deadline.go", "	case PhaseExecute:\n		all = append(all, step)\n		if !s.Started() {\n",
				"	case PhaseExecute:\n		all = append(all, step)\n		if false {\n",
			},
			{"services/executor/execute/start.go", "	_, missing := procedure.Count(s, at)\n	return len(missing) > 0\n", "	return false\n"},
			{"services/executor/execute/start.go", "	if !at.Before(s.Authorized.GetValidUntil().AsTime()) || !at.Before(s.Requested.GetStartBy().AsTime()) {\n", "	if at.IsZero() {\n"},
		},
		// Only what was authorized a moment before all executors sleep can outlive it.
		blackout: 5 * time.Second, long: 150 * time.Second,
	},
	{
		name:  "a timer is believed",
		wants: []string{"early"},
		edits: []edit{
			{"procedure/deadline.go", "	if !ok || at.Before(d.At) {\n", "	if !ok {\n"},
			{"procedure/deadline.go", "d.Cause == cause && !at.Before(d.At) {", "d.Cause == cause {"},
		},
	},
	{
		name:  "a freeze holds nothing",
		wants: []string{"early"},
		edits: []edit{{
			"internal/freeze/freeze.go", "	c, err := newCalculus(freezes, at, scope, horizon)\n", "	c, err := newCalculus(freezes[:0], at, scope, horizon)\n",
		}},
	},
	{
		name:  "the newest message of a target is taken for its newest event",
		wants: []string{"double", "stuck"},
		edits: []edit{{
			"internal/eventstore/load.go", "err == nil && sameHead(entry.Event.GetPrevious(), from) {", "err == nil {",
		}},
	},
	{
		name:  "what does not count is not recorded",
		wants: []string{"gap"},
		edits: []edit{{
			"services/recorder/ledger/fold.go", "			b.rejected++\n		}\n	}\n	return nil\n",
			"			b.rejected++\n		}\n	}\n	all := b.rows\n	b.rows = nil\n	for _, r := range all {\n		if r.rejected == nil {\n			b.rows = append(b.rows, r)\n		}\n	}\n	return nil\n",
		}},
	},
	{
		name:  "the checkpoint moves before the rows are there",
		wants: []string{"gap"},
		edits: []edit{
			{"services/recorder/ledger/write.go", "	results := conn.SendBatch(ctx, p.statements)\n", `	first := &pgx.Batch{QueuedQueries: p.statements.QueuedQueries[1:2]}
	if err := conn.SendBatch(ctx, first).Close(); err != nil {
		return err
	}
	p.statements.QueuedQueries = append(p.statements.QueuedQueries[:1:1], p.statements.QueuedQueries[2:]...)
	results := conn.SendBatch(ctx, p.statements)
`},
			{"services/recorder/ledger/write.go", "err == nil && moved.RowsAffected() != 1 {\n", "err == nil && moved.RowsAffected() < 0 {\n"},
		},
		focus: []string{"record.before-commit"}, action: failpoint.Kill,
	},
	{
		name:  "the desk answers before it stores",
		wants: []string{"lost"},
		edits: []edit{{"services/approval/authorize/desk.go", `		stored, err := s.store.Append(ctx, eventstore.Draft{
			Aggregate: d.head.Aggregate, Expect: d.head.Last, Previous: d.state.Head.Previous(), Event: event,
		})
`, `		if ctx.Err() == nil {
			go func() {
				_, _ = s.store.Append(context.WithoutCancel(ctx), eventstore.Draft{
					Aggregate: d.head.Aggregate, Expect: d.head.Last, Previous: d.state.Head.Previous(), Event: event,
				})
			}()
			return d.state, nil
		}
		stored, err := []eventstore.Stored{}, ctx.Err()
`}},
	},
	{
		name:  "a target does again what it has done",
		wants: []string{"double"},
		edits: []edit{{"services/executor/driver/fence/record.go", "	repeated = r.Done && ", "	repeated = false && r.Done && "}},
		focus: []string{"execute.applied", "append.before"}, action: failpoint.Kill,
	},
	{
		name:  "one group's approval is enough",
		wants: []string{"unapproved"},
		edits: []edit{{"internal/policy/require.go", "		if environment.GetName() == request.GetEnvironment() {\n			need(environment.GetApprovals())\n", "		if environment.GetName() == request.GetEnvironment() {\n			need(environment.GetApprovals()[:1])\n"}},
	},
	{
		name:  "a target is locked that nobody looked at",
		wants: []string{"unapproved"},
		edits: []edit{{"services/executor/site/claim.go", "		target, ok := looked[id]\n		if !ok {\n", "		target, ok := looked[id]\n		if ok = false; !ok {\n"}},
		focus: []string{"execute.looked"}, action: failpoint.Stop, fate: fateGood, interval: 200 * time.Millisecond, calm: true, long: 200 * time.Second,
		// Another release has to come and go while this one sleeps, on a busy machine as well,
		// and nobody else may begin it.
		ackWait: 16 * time.Second, brief: true, service: "api",
	},
	{
		name:  "a seal is taken for a beginning",
		wants: []string{"early"},
		edits: []edit{{
			"services/executor/site/seal.go", "	return status == driver.StatusNotStarted || status == driver.StatusSealed\n", "	return status == driver.StatusNotStarted\n",
		}},
		focus: []string{"execute.claimed", "execute.shut"}, action: failpoint.Kill, fate: fateAborted, interval: 400 * time.Millisecond, calm: true, long: 100 * time.Second,
	},
	{
		name:  "at the start nobody asks whether an alert fires",
		wants: []string{"early"},
		edits: []edit{{"services/executor/execute/alerts.go", "	out.outlast(t)\n	return out, nil\n", "	out.holds = nil\n	return out, nil\n"}},
		// Whether a spell begins between the look at step 3 and the start is chance: there are
		// many of both.
		fate: fateGood, service: "api", spells: []string{weatherAlert, weatherMute}, interval: time.Second, long: 100 * time.Second,
	},
	{
		name:  "a change record that nobody tells of is taken for a good one",
		wants: []string{"early"},
		edits: []edit{{"services/executor/execute/records.go", "		case r.Unknown != nil:\n			out.holds = append(out.holds, r.Hold(t.State.Request))\n", "		case r.Unknown != nil:\n"}},
		fate:  fateGood, service: "web", spells: []string{weatherLost}, long: 100 * time.Second,
	},
	{
		name:  "whoever signed, it is the person",
		wants: []string{"unapproved"},
		edits: []edit{{
			"services/executor/execute/consent.go", "		if _, err := consent.Verify(t.State, a, s.Roots, whose...); err != nil {\n",
			"		if _, err := consent.Verify(t.State, a, s.Roots, whose...); err != nil && len(whose) == 0 {\n",
		}},
		fate: fateNeglected,
	},
}
