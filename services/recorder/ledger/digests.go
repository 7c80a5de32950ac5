package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// ErrNoted says that another recorder has noted the same already. Nothing was written.
var ErrNoted = errors.New("another recorder has noted that already")

// leading keeps two recorders from sending mails at once.
const leading = 7_402_211_510

// DigestKind says why a day is noted.
type DigestKind string

// Kinds of days.
const (
	// DigestBeginning is the day before the first one of which people are told.
	DigestBeginning DigestKind = "beginning"
	// DigestTold is a day of which people are told.
	DigestTold DigestKind = "told"
	// DigestSkipped is one that was over for too long.
	DigestSkipped DigestKind = "skipped"
)

// DigestState is what became of a mail.
type DigestState string

// States of a mail: an attempt that begins, an attempt that the relay did not take, and the
// four ends.
const (
	DigestBegun       DigestState = "begun"
	DigestRefused     DigestState = "refused"
	DigestSent        DigestState = "sent"
	DigestUnreachable DigestState = "unreachable"
	DigestUnknown     DigestState = "unknown"
	DigestGivenUp     DigestState = "given_up"
)

// DigestDay is a day, "2026-12-01", and the messages that it stands for: those behind After
// up to Through.
type DigestDay struct {
	Day            string
	After, Through uint64
	Kind           DigestKind
}

// DigestMail is a mail that has not come to an end.
type DigestMail struct {
	DigestDay

	Person string
	// Begun is how often it was begun, Lost how often nobody knows what became of that.
	Begun, Lost int
	// Since is how long ago it was begun last, by the database's clock.
	Since time.Duration
	// Taken are the places of the addresses that it was taken for, as Place writes them.
	Taken []string
}

// Place stands for an address in what is noted: it tells two apart, and is none.
func Place(address string) string {
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:8])
}

// partOf is whom the mail of a person at one address is noted for. No id of a person has a
// slash.
const partOf = "/"

// Digests keeps which days people were told of, and what became of each mail. Its methods
// may be called concurrently.
type Digests struct {
	pool *pgxpool.Pool

	mu sync.Mutex
	// since is a day before which no mail is open; empty where that is not known. Guarded by mu.
	since string
}

// OpenDigests connects as the writing role; else it is as Open.
func OpenDigests(ctx context.Context, dsn, schema string) (*Digests, error) {
	// One connection holds the lead, one works.
	pool, err := connect(ctx, dsn, migrations.Writer, schema, 2)
	if err != nil {
		return nil, fmt.Errorf("open the digests: %w", err)
	}
	return &Digests{pool: pool}, nil
}

// Close closes the connections.
func (d *Digests) Close() { d.pool.Close() }

// Lead calls f while no other recorder is in it, and reports whether it did. Where the
// connection that holds the lead is lost, another one may begin before f ends: what must
// not be done twice is noted first.
func (d *Digests) Lead(ctx context.Context, f func(context.Context) error) (led bool, err error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for the lead: %w", err)
	}
	defer conn.Release()
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", int64(leading)).Scan(&led); err != nil {
		return false, fmt.Errorf("ask for the lead: %w", err)
	}
	if !led {
		return false, nil
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(after, "select pg_advisory_unlock($1)", int64(leading)); err != nil {
			_ = conn.Conn().Close(after) // The lead ends with its session.
		}
	}()
	return true, f(ctx)
}

// Last returns the newest day that is noted; ok is false where there is none.
func (d *Digests) Last(ctx context.Context) (day DigestDay, ok bool, err error) {
	err = d.pool.QueryRow(ctx, "select day::text, after_seq, through_seq, kind from digest_days order by digest_days.day desc limit 1").
		Scan(&day.Day, &day.After, &day.Through, &day.Kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return DigestDay{}, false, nil
	}
	if err != nil {
		return DigestDay{}, false, fmt.Errorf("read the last day that people were told of: %w", err)
	}
	return day, true, nil
}

// Recorded returns the last message on record.
func (d *Digests) Recorded(ctx context.Context) (last uint64, err error) {
	if err := d.pool.QueryRow(ctx, "select last_seq from checkpoint").Scan(&last); err != nil {
		return 0, fmt.Errorf("read the checkpoint: %w", err)
	}
	return last, nil
}

// FirstSince returns the first message behind a sequence that was stored at that time or
// later; 0 where there is none on record.
func (d *Digests) FirstSince(ctx context.Context, after uint64, at time.Time) (uint64, error) {
	return d.one(ctx, "select seq from events where seq > $1 and stored_nanos >= $2 order by seq limit 1", after, at)
}

// LastBefore returns the newest message that was stored before that time; 0 where there is
// none on record.
func (d *Digests) LastBefore(ctx context.Context, at time.Time) (uint64, error) {
	return d.one(ctx, "select seq from events where seq > $1 and stored_nanos < $2 order by seq desc limit 1", 0, at)
}

func (d *Digests) one(ctx context.Context, query string, after uint64, at time.Time) (seq uint64, err error) {
	err = d.pool.QueryRow(ctx, query, int64(after), at.UnixNano()).Scan(&seq) //nolint:gosec // Sequences are far below 2^63.
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("look where a day ends: %w", err)
	}
	return seq, nil
}

// Note adds a day with the people who are to be told, all of it or nothing. The error is
// ErrNoted where the day is there.
func (d *Digests) Note(ctx context.Context, day DigestDay, people []string) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into digest_days (day, after_seq, through_seq, kind) values ($1::text::date, $2, $3, $4)",
			day.Day, int64(day.After), int64(day.Through), string(day.Kind)); err != nil { //nolint:gosec // Sequences are far below 2^63.
			return err
		}
		_, err := tx.Exec(ctx, "insert into digests (day, person, attempt, state) select $1::text::date, unnest($2::text[]), 0, 'due'", day.Day, people)
		return err
	})
	return noted(fmt.Sprintf("note the day %s", day.Day), err)
}

// NoteMail adds what became of the mail of a person and day. The error is ErrNoted where
// that is noted of the attempt, or another end of the mail is.
func (d *Digests) NoteMail(ctx context.Context, day, person string, attempt int, state DigestState) error {
	_, err := d.pool.Exec(ctx, "insert into digests (day, person, attempt, state) values ($1::text::date, $2, $3, $4)", day, person, attempt, string(state))
	return noted(fmt.Sprintf("note the mail of %s to %s", day, person), err)
}

// NotePart adds that an attempt had a mail taken for some addresses, and not for the others,
// all of it or nothing. The error is ErrNoted where what became of the attempt is noted.
func (d *Digests) NotePart(ctx context.Context, day, person string, attempt int, addresses []string) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into digests (day, person, attempt, state) values ($1::text::date, $2, $3, $4)", day, person, attempt, string(DigestRefused)); err != nil {
			return err
		}
		for _, each := range addresses {
			// An address that got it twice is noted once.
			if _, err := tx.Exec(ctx, "insert into digests (day, person, attempt, state) values ($1::text::date, $2, $3, $4) on conflict do nothing",
				day, person+partOf+Place(each), attempt, string(DigestSent)); err != nil {
				return err
			}
		}
		return nil
	})
	return noted(fmt.Sprintf("note the mail of %s to %s", day, person), err)
}

func noted(what string, err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "23505" {
		return fmt.Errorf("%s: %w", what, ErrNoted)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// openMails are those of a day and later ones that have not come to an end.
const openMails = `select d.day::text, y.after_seq, y.through_seq, y.kind, d.person,
		count(*) filter (where d.state = 'begun'),
		count(*) filter (where d.state = 'begun') - count(*) filter (where d.state = 'refused'),
		coalesce(extract(epoch from clock_timestamp() - max(d.noted) filter (where d.state = 'begun')), 0)::float8,
		array(select split_part(p.person, '/', 2) from digests p where p.day = d.day and starts_with(p.person, d.person || '/') and p.state = 'sent')
	from digests d join digest_days y on y.day = d.day
	where d.day >= $1::text::date and strpos(d.person, '/') = 0
		and not exists (select from digests e where e.day = d.day and e.person = d.person and e.state in ('sent', 'unreachable', 'unknown', 'given_up'))
	group by d.day, y.after_seq, y.through_seq, y.kind, d.person
	order by d.day, d.person`

// Open returns the mails that have not come to an end, the oldest first. The first call
// looks at all that were ever noted, later ones at those since the oldest that was open: a
// mail that came to an end stays there, and days are noted in order.
func (d *Digests) Open(ctx context.Context) ([]DigestMail, error) {
	last, ok, err := d.Last(ctx)
	if err != nil || !ok {
		return nil, err
	}
	since := d.openSince(last.Day)
	rows, err := d.pool.Query(ctx, openMails, since)
	if err != nil {
		return nil, fmt.Errorf("look for mails to be sent: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m DigestMail, err error) {
		var seconds float64
		err = row.Scan(&m.Day, &m.After, &m.Through, &m.Kind, &m.Person, &m.Begun, &m.Lost, &seconds, &m.Taken)
		m.Since = time.Duration(seconds * float64(time.Second))
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for mails to be sent: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = last.Day // It was there before the look; those that are noted later are later days.
	if len(all) > 0 {
		d.since = min(all[0].Day, last.Day)
	}
	return all, nil
}

// openSince returns a day before which no mail is open. Where the last day is before that,
// the database is not the one that it was.
func (d *Digests) openSince(last string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since == "" || d.since > last {
		return "-infinity"
	}
	return d.since
}
