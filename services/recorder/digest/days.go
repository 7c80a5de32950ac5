package digest

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/record"
)

// days notes every day that is due, and returns the newest one that is; none where that is
// not known, because the stream is not.
func (d *Digest) days(ctx context.Context) (newest *Day, err error) {
	last, ok, err := d.digests.Last(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, d.begin(ctx)
	}
	day, err := ParseDay(last.Day)
	if err != nil {
		return nil, err
	}
	day = day.Add(1)
	if d.calendar.Due(day).After(d.now()) {
		due := day.Add(-1)
		return &due, nil
	}
	end, err := d.stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBehind, day, err)
	}
	// Two clocks have to say that a day is over: one alone may be wrong.
	now := d.now()
	if end.At.Before(now) {
		now = end.At
	}
	due := d.calendar.Newest(now)
	for through := last.Through; !due.Before(day); day = day.Add(1) {
		if through, err = d.note(ctx, day, through, due, end); err != nil {
			return &due, err
		}
	}
	if d.calendar.Due(day).After(d.now()) {
		return &due, nil
	}
	return &due, fmt.Errorf("%w: %s, by the clock of the bus", ErrBehind, day)
}

// begin notes that people are told from today on.
func (d *Digest) begin(ctx context.Context) error {
	end, err := d.stream(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBehind, err)
	}
	now := d.now()
	if end.At.Before(now) {
		now = end.At
	}
	recorded, err := d.digests.Recorded(ctx)
	if err != nil {
		return err
	}
	if recorded < end.Last {
		return fmt.Errorf("%w: it goes to %d, the stream to %d", ErrBehind, recorded, end.Last)
	}
	before := d.calendar.DayOf(now).Add(-1)
	through, err := d.digests.LastBefore(ctx, d.calendar.Ends(before))
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "people are told by mail what is on record in their name, from today on", slog.String("day", before.Add(1).String()))
	return ignoreNoted(d.digests.Note(ctx, ledger.DigestDay{Day: before.String(), After: through, Through: through, Kind: ledger.DigestBeginning}, nil))
}

// note notes one day, and returns the last message that it stands for.
func (d *Digest) note(ctx context.Context, day Day, after uint64, newest Day, end record.End) (through uint64, err error) {
	recorded, err := d.digests.Recorded(ctx)
	if err != nil {
		return 0, err
	}
	next, err := d.digests.FirstSince(ctx, after, d.calendar.Ends(day))
	if err != nil {
		return 0, err
	}
	switch {
	case next > 0:
		through = next - 1
	case recorded >= end.Last:
		through = max(recorded, after)
	default:
		return 0, fmt.Errorf("%w: %s: it goes to %d, the stream to %d", ErrBehind, day, recorded, end.Last)
	}
	noted := ledger.DigestDay{Day: day.String(), After: after, Through: through, Kind: ledger.DigestTold}
	if newest.Since(day) >= MaxDays {
		noted.Kind = ledger.DigestSkipped
		if err := d.digests.Note(ctx, noted, nil); err != nil {
			return through, err
		}
		d.metrics.mails.WithLabelValues(string(ledger.DigestSkipped)).Inc()
		slog.ErrorContext(ctx, "a day is over for too long: nobody is told any more what is on record in their name of it",
			slog.String("day", day.String()), slog.Uint64("after", after), slog.Uint64("through", through))
		return through, nil
	}
	list, err := d.listOf(ctx, noted)
	if err != nil {
		return 0, err
	}
	if err := d.digests.Note(ctx, noted, list.people()); err != nil {
		return 0, err
	}
	d.metrics.left(list)
	if list.unverified+list.nobodys > 0 {
		slog.WarnContext(ctx, "messages of the day are in nobody's mail: no known key vouches for them, or they name nobody whom a procedure document knows",
			slog.String("day", day.String()), slog.Int("unverified", list.unverified), slog.Int("nobody", list.nobodys))
	}
	return through, nil
}
