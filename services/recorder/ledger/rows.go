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
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// deterministic is the one form in which messages are stored in projections.
var deterministic = proto.MarshalOptions{Deterministic: true}

// queueEvents adds all rows with one statement, column by column.
func queueEvents(out *pgx.Batch, rows []row) {
	n := len(rows)
	seqs, nanos, stored := make([]int64, n), make([]int64, n), make([]time.Time, n)
	aggregates, subjects, ids, types := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	signers, rejected := make([]string, n), make([]*string, n)
	headers, bodies, digests := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	for i, r := range rows {
		seqs[i], nanos[i], stored[i] = int64(r.Sequence), r.Stored.UnixNano(), r.Stored.UTC() //nolint:gosec // Sequences are far below 2^63.
		aggregates[i], subjects[i] = r.aggregate, clean(r.Subject)
		signers[i], headers[i] = clean(r.SignedBy), encodeHeader(r.Header)
		bodies[i] = append([]byte{}, r.Body...)
		digest := r.digest()
		digests[i] = digest[:]
		if r.Refused == nil {
			ids[i], types[i] = clean(r.Entry.Event.GetId()), procedure.TypeOf(r.Entry.Event)
		}
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

// queueReleases writes every touched release once, as its fold has it.
func (l *Ledger) queueReleases(out *pgx.Batch, touched []string) error {
	for _, release := range touched {
		h, ok := l.releases.get(release)
		if !ok {
			return errNotLoaded
		}
		s := h.timeline.State()
		if s.Phase == procedure.PhaseNone {
			continue // Nothing that counts was ever said of it.
		}
		body, err := deterministic.Marshal(h.timeline.Release(h.rejected))
		if err != nil {
			return fmt.Errorf("encode release %s: %w", release, err)
		}
		r := s.Request
		out.Queue(`insert into releases (release, service, environment, version, trigger, owner, requester, phase, outcome,
				requested, updated, ended, closed, rejected, last_seq, view)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
			on conflict (release) do update set phase = excluded.phase, outcome = excluded.outcome,
				updated = excluded.updated, ended = excluded.ended, closed = excluded.closed,
				rejected = excluded.rejected, last_seq = excluded.last_seq, view = excluded.view`,
			release, clean(r.GetService()), clean(r.GetEnvironment()), clean(r.GetVersion()), int16(r.GetTrigger()), //nolint:gosec // A handful of triggers.
			clean(r.GetOwner()), clean(r.GetRequester()), s.Phase.String(), int16(s.Outcome), //nolint:gosec // A handful of outcomes.
			s.RequestedAt.UTC(), h.timeline.Updated().UTC(), timeOrNull(h.timeline.Ended()),
			s.Phase == procedure.PhaseClosed, int32(h.rejected), s.Head.Sequence, body) //nolint:gosec // A release has 2,000 events at most.
		l.queueLinks(out, release, h)
	}
	return nil
}

// queueLinks writes what lists are filtered by. They only grow.
func (l *Ledger) queueLinks(out *pgx.Batch, release string, h *history) {
	people, parts := []string{}, []string{}
	for _, p := range h.timeline.Parts() {
		people, parts = append(people, clean(p.Person)), append(parts, p.Part)
	}
	if len(people) > h.people {
		out.Queue(`insert into release_people (person, release, part)
			select p, $2, q from unnest($1::text[], $3::text[]) as t(p, q) on conflict do nothing`, people, release, parts)
	}
	digests := cleanAll(h.timeline.Digests())
	if len(digests) > h.digests {
		out.Queue(`insert into release_artifacts (digest, release) select d, $2 from unnest($1::text[]) as d
			on conflict do nothing`, digests, release)
	}
	if h.people == 0 {
		out.Queue(`insert into release_targets (target, release) select d, $2 from unnest($1::text[]) as d
			on conflict do nothing`, cleanAll(procedure.Targets(h.timeline.State().Request)), release)
	}
	h.people, h.digests = len(people), len(digests)
}

func queueTargets(out *pgx.Batch, targets map[string]targetRow) {
	for _, aggregate := range slices.Sorted(maps.Keys(targets)) {
		t := targets[aggregate]
		d := t.state.GetDeployed()
		out.Queue(`insert into targets (target, release, service, version, digest, since, generation, locked_by, last_seq)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			on conflict (target) do update set release = excluded.release, service = excluded.service,
				version = excluded.version, digest = excluded.digest, since = excluded.since,
				generation = excluded.generation, locked_by = excluded.locked_by, last_seq = excluded.last_seq`,
			strings.TrimPrefix(aggregate, kindTarget+"."), clean(d.GetRelease()), clean(d.GetService()), clean(d.GetVersion()),
			clean(d.GetDigest()), since(d), int64(t.state.GetGeneration()), clean(t.lock), t.seq) //nolint:gosec // A count of releases.
	}
}

// since is when a deployment happened; null where that cannot be a time.
func since(d *releasev1.Deployment) any {
	if d.GetTime() == nil || d.GetTime().CheckValid() != nil {
		return nil
	}
	return timeOrNull(d.GetTime().AsTime())
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

func cleanAll(all []string) []string {
	out := make([]string, 0, len(all))
	for _, s := range all {
		out = append(out, clean(s))
	}
	return out
}
