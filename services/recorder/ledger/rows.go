package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// deterministic is the one form in which messages are stored in projections.
var deterministic = proto.MarshalOptions{Deterministic: true}

// queueEvents adds a few rows with one statement, column by column; of many, copyReader
// makes less work, but takes an exchange of its own.
func queueEvents(out *pgx.Batch, rows []row) {
	n := len(rows)
	seqs, nanos, stored := make([]int64, n), make([]int64, n), make([]time.Time, n)
	aggregates, subjects, ids, types := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	signers, rejected := make([]string, n), make([]*string, n)
	headers, bodies, digests := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	for i := range rows {
		r := &rows[i]
		digest := r.digest()
		seqs[i], nanos[i], stored[i] = int64(r.Sequence), r.Stored.UnixNano(), r.Stored.UTC() //nolint:gosec // Sequences are far below 2^63.
		aggregates[i], subjects[i], signers[i] = r.aggregate, clean(r.Subject), clean(r.SignedBy)
		ids[i], types[i] = r.identity()
		headers[i], bodies[i], digests[i] = notNull(r.Header), notNull(r.Body), digest[:]
		if r.rejected != nil {
			why := clean(r.rejected.Error())
			rejected[i] = &why
		}
	}
	out.Queue(`insert into events
		(seq, aggregate, subject, event_id, type, stored, stored_nanos, headers, body, sha256, signed_by, rejected)
		select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
			$7::bigint[], $8::bytea[], $9::bytea[], $10::bytea[], $11::text[], $12::text[])`,
		seqs, aggregates, subjects, ids, types, stored, nanos, headers, bodies, digests, signers, rejected)
}

// notNull is the bytes, where there are none as well.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// releaseColumns are the releases of a batch, column by column.
type releaseColumns struct {
	release, service, environment, version, owner, requester, phase, rollbackOf, wayBackOf []string
	trigger, outcome                                                                       []int16
	requested, updated                                                                     []time.Time
	ended                                                                                  []*time.Time
	closed                                                                                 []bool
	rejected, followUps                                                                    []int32
	last                                                                                   []int64
	view                                                                                   [][]byte
}

func (c *releaseColumns) add(h *history, view []byte) {
	s := h.timeline.State()
	r := s.Request
	c.release = append(c.release, s.Release)
	c.service, c.environment = append(c.service, clean(r.GetService())), append(c.environment, clean(r.GetEnvironment()))
	c.version, c.phase = append(c.version, clean(r.GetVersion())), append(c.phase, s.Phase.String())
	c.owner, c.requester = append(c.owner, clean(r.GetOwner())), append(c.requester, clean(r.GetRequester()))
	c.trigger = append(c.trigger, int16(r.GetTrigger())) //nolint:gosec // A handful of triggers.
	c.outcome = append(c.outcome, int16(s.Outcome))      //nolint:gosec // A handful of outcomes.
	c.requested = append(c.requested, s.RequestedAt.UTC())
	c.updated = append(c.updated, h.timeline.Updated().UTC())
	var ended *time.Time
	if at := h.timeline.Ended().UTC(); !at.IsZero() {
		ended = &at
	}
	c.ended = append(c.ended, ended)
	c.closed = append(c.closed, s.Phase == procedure.PhaseClosed)
	c.rejected = append(c.rejected, int32(h.rejected)) //nolint:gosec // The count of a column of that size.
	c.last = append(c.last, int64(s.Head.Sequence))    //nolint:gosec // Sequences are far below 2^63.
	c.view = append(c.view, view)
	c.rollbackOf = append(c.rollbackOf, clean(r.GetRollbackOf()))
	c.followUps = append(c.followUps, int32(s.OpenFollowUps())) //nolint:gosec // Package procedure bounds them.
	c.wayBackOf = append(c.wayBackOf, "")
}

// addWayBack adds a way back as a change of its own.
func (c *releaseColumns) addWayBack(w *recorderv1.Release, view []byte) {
	c.release = append(c.release, w.GetRelease())
	c.service, c.environment = append(c.service, clean(w.GetService())), append(c.environment, clean(w.GetEnvironment()))
	c.version, c.phase = append(c.version, clean(w.GetVersion())), append(c.phase, w.GetPhase())
	c.owner, c.requester = append(c.owner, clean(w.GetOwner())), append(c.requester, clean(w.GetRequester()))
	c.trigger = append(c.trigger, int16(w.GetTrigger())) //nolint:gosec // A handful of triggers.
	c.outcome = append(c.outcome, int16(w.GetOutcome())) //nolint:gosec // A handful of outcomes.
	c.requested, c.updated = append(c.requested, w.GetRequested().AsTime()), append(c.updated, w.GetUpdated().AsTime())
	var ended *time.Time
	if t := w.GetEnded(); t != nil {
		at := t.AsTime()
		ended = &at
	}
	c.ended, c.closed = append(c.ended, ended), append(c.closed, w.GetClosed())
	c.rejected, c.followUps = append(c.rejected, 0), append(c.followUps, 0)
	c.last = append(c.last, int64(w.GetLastSequence())) //nolint:gosec // Sequences are far below 2^63.
	c.view, c.rollbackOf, c.wayBackOf = append(c.view, view), append(c.rollbackOf, ""), append(c.wayBackOf, w.GetWayBackOf())
}

// links are pairs and triples that lists are filtered by. They only grow.
type links struct {
	name, release, part []string
}

// queueReleases writes every touched release once, as its fold has it.
func queueReleases(out *pgx.Batch, touched []*history) error {
	var c releaseColumns
	var people, digests, targets links
	for _, h := range touched {
		release := h.timeline.State().Release
		if h.timeline.State().Phase == procedure.PhaseNone {
			continue // Nothing that counts was ever said of it.
		}
		view, err := deterministic.Marshal(h.timeline.Release(h.rejected))
		if err != nil {
			return fmt.Errorf("encode release %s: %w", release, err)
		}
		c.add(h, view)
		if h.people == 0 {
			for _, t := range procedure.Targets(h.timeline.State().Request) {
				targets.name, targets.release = append(targets.name, clean(t)), append(targets.release, release)
			}
		}
		for _, p := range h.timeline.Parts()[h.people:] {
			people.name, people.release = append(people.name, clean(p.Person)), append(people.release, release)
			people.part = append(people.part, p.Part)
		}
		for _, d := range h.timeline.Digests()[h.digests:] {
			digests.name, digests.release = append(digests.name, clean(d)), append(digests.release, release)
		}
		h.people, h.digests = len(h.timeline.Parts()), len(h.timeline.Digests())
		for _, w := range h.timeline.WaysBack() {
			view, err := deterministic.Marshal(w)
			if err != nil {
				return fmt.Errorf("encode way back %s: %w", w.GetRelease(), err)
			}
			c.addWayBack(w, view)
			for _, t := range w.GetTargets() {
				targets.name, targets.release = append(targets.name, clean(t)), append(targets.release, w.GetRelease())
			}
			if by := w.GetRequester(); by != "" {
				people.name, people.release = append(people.name, clean(by)), append(people.release, w.GetRelease())
				people.part = append(people.part, "operator")
			}
		}
	}
	if len(c.release) > 0 {
		out.Queue(upsertReleases, c.release, c.service, c.environment, c.version, c.trigger, c.owner, c.requester, c.phase,
			c.outcome, c.requested, c.updated, c.ended, c.closed, c.rejected, c.last, c.view, c.rollbackOf, c.followUps, c.wayBackOf)
	}
	if len(targets.name) > 0 {
		out.Queue(`insert into release_targets (target, release) select * from unnest($1::text[], $2::text[])
			on conflict do nothing`, targets.name, targets.release)
	}
	if len(people.name) > 0 {
		out.Queue(`insert into release_people (person, release, part) select * from unnest($1::text[], $2::text[], $3::text[])
			on conflict do nothing`, people.name, people.release, people.part)
	}
	if len(digests.name) > 0 {
		out.Queue(`insert into release_artifacts (digest, release) select * from unnest($1::text[], $2::text[])
			on conflict do nothing`, digests.name, digests.release)
	}
	return nil
}

const upsertReleases = `insert into releases (release, service, environment, version, trigger, owner, requester, phase,
		outcome, requested, updated, ended, closed, rejected, last_seq, view, rollback_of, open_follow_ups, way_back_of)
	select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::text[],
		$9::smallint[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::boolean[], $14::integer[],
		$15::bigint[], $16::bytea[], $17::text[], $18::integer[], $19::text[])
	on conflict (release) do update set phase = excluded.phase, outcome = excluded.outcome,
		updated = excluded.updated, ended = excluded.ended, closed = excluded.closed,
		rejected = excluded.rejected, last_seq = excluded.last_seq, view = excluded.view,
		open_follow_ups = excluded.open_follow_ups`

// queueTargets writes every touched target once, as its newest event has it.
func queueTargets(out *pgx.Batch, targets map[string]targetRow) {
	if len(targets) == 0 {
		return
	}
	n := len(targets)
	names, releases, services, versions := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	digests, locks := make([]string, 0, n), make([]string, 0, n)
	times, generations, last := make([]*time.Time, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for _, aggregate := range slices.Sorted(maps.Keys(targets)) {
		t := targets[aggregate]
		d := t.state.GetDeployed()
		names = append(names, strings.TrimPrefix(aggregate, kindTarget+"."))
		releases, services = append(releases, clean(d.GetRelease())), append(services, clean(d.GetService()))
		versions, digests = append(versions, clean(d.GetVersion())), append(digests, clean(d.GetDigest()))
		times, locks = append(times, since(d)), append(locks, clean(t.lock))
		generations = append(generations, int64(t.state.GetGeneration())) //nolint:gosec // A count of releases.
		last = append(last, int64(t.seq))                                 //nolint:gosec // Sequences are far below 2^63.
	}
	out.Queue(`insert into targets (target, release, service, version, digest, since, generation, locked_by, last_seq)
		select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[],
			$8::text[], $9::bigint[])
		on conflict (target) do update set release = excluded.release, service = excluded.service,
			version = excluded.version, digest = excluded.digest, since = excluded.since,
			generation = excluded.generation, locked_by = excluded.locked_by, last_seq = excluded.last_seq`,
		names, releases, services, versions, digests, times, generations, locks, last)
}

// since is when a deployment happened; null where that cannot be a time.
func since(d *releasev1.Deployment) *time.Time {
	if d.GetTime() == nil || d.GetTime().CheckValid() != nil {
		return nil
	}
	at := d.GetTime().AsTime().UTC()
	if at.IsZero() {
		return nil
	}
	return &at
}

func queueRefusals(out *pgx.Batch, refusals []row) error {
	for _, r := range refusals {
		body, err := deterministic.Marshal(r.Entry.Event.GetRequestRefused())
		if err != nil {
			return fmt.Errorf("encode refusal %d: %w", r.Sequence, err)
		}
		out.Queue(`insert into refusals (seq, stored, refused) values ($1, $2, $3)`, r.Sequence, r.Stored.UTC(), body)
	}
	return nil
}
