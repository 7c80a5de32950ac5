package digest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// attempts is how often a mail is begun of which nobody knows what became of it.
const attempts = 2

// mails sends those that have not come to an end, the oldest first, and returns which ones
// still have not. Without a newest day none is given up.
func (d *Digest) mails(ctx context.Context, open []ledger.DigestMail, newest *Day) ([]ledger.DigestMail, error) {
	if !d.relayPause.over(d.now()) {
		return open, errLater
	}
	ended := map[string]bool{}
	err := d.sendAll(ctx, slices.Clone(open), newest, ended)
	return slices.DeleteFunc(open, func(m ledger.DigestMail) bool { return ended[m.Day+m.Person] }), err
}

// sendAll sends mails, and adds those that come to an end.
func (d *Digest) sendAll(ctx context.Context, open []ledger.DigestMail, newest *Day, over map[string]bool) error {
	// Whatever is wrong with a mail, those that may go better do not wait for it.
	slices.SortStableFunc(open, func(a, b ledger.DigestMail) int {
		return cmp.Compare(d.pauses[a.Day+a.Person].failed, d.pauses[b.Day+b.Person].failed)
	})
	maps.DeleteFunc(d.lists, func(day string, _ *list) bool {
		return !slices.ContainsFunc(open, func(m ledger.DigestMail) bool { return m.Day == day })
	})
	lists := map[string]*list{}
	var failed []error
	row, waits := 0, false
	for _, m := range open {
		ended, err := d.endOf(ctx, m, newest)
		switch {
		case err != nil:
			return err
		case ended:
			over[m.Day+m.Person] = true
			continue
		case !d.mayBegin(m):
			waits = true
			continue
		}
		l, known := lists[m.Day]
		if !known {
			if l, err = d.listOf(ctx, m.DigestDay); err != nil {
				failed = append(failed, err)
			}
			lists[m.Day] = l
		}
		if l == nil {
			continue // Nobody of that day can be told now.
		}
		ended, down, err := d.send(ctx, m, l)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		if row++; !down {
			row = 0
		}
		over[m.Day+m.Person], waits = ended, waits || !ended
		if row >= inARow {
			d.relayPause = d.relayPause.longer(d.now())
			break
		}
	}
	if row == 0 {
		d.relayPause = pause{}
	}
	if waits {
		failed = append(failed, errLater)
	}
	return errors.Join(failed...)
}

// endOf notes the end of a mail that is not tried any more.
func (d *Digest) endOf(ctx context.Context, m ledger.DigestMail, newest *Day) (ended bool, err error) {
	day, err := ParseDay(m.Day)
	if err != nil {
		return false, err
	}
	switch {
	case m.Lost >= attempts && m.Since >= d.timeoutOf():
		return true, d.end(ctx, m, m.Begun, ledger.DigestUnknown)
	case newest != nil && newest.Since(day) >= MaxDays:
		return true, d.end(ctx, m, m.Begun, ledger.DigestGivenUp)
	}
	return false, nil
}

// mayBegin reports whether a mail may be sent now: its pause is over, and what was begun of
// it cannot be on its way any more.
func (d *Digest) mayBegin(m ledger.DigestMail) bool {
	if m.Lost > 0 && (m.Lost >= attempts || m.Since < d.timeoutOf()) {
		return false
	}
	return d.pauses[m.Day+m.Person].over(d.now())
}

// end notes that a mail came to an end, and says what everybody has to know of it.
func (d *Digest) end(ctx context.Context, m ledger.DigestMail, attempt int, state ledger.DigestState) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.digests.NoteMail(ctx, m.Day, m.Person, attempt, state); err != nil {
		return ignoreNoted(err)
	}
	delete(d.pauses, m.Day+m.Person)
	d.metrics.mails.WithLabelValues(string(state)).Inc()
	said := []any{slog.String("day", m.Day), slog.String("person", m.Person), slog.String("result", string(state))}
	if state == ledger.DigestSent {
		slog.InfoContext(ctx, "somebody was told what is on record in their name", said...)
		return nil
	}
	slog.ErrorContext(ctx, "somebody was not told what is on record in their name, or not at all of their addresses", append(said, slog.Int("addresses", len(m.Taken)))...)
	return nil
}

// send sends one mail once, and reports whether it came to an end, and whether the relay
// was down. The error is not the relay's.
func (d *Digest) send(ctx context.Context, m ledger.DigestMail, l *list) (ended, down bool, err error) {
	all := l.addresses(m.Person)
	left := slices.DeleteFunc(slices.Clone(all), func(a string) bool { return slices.Contains(m.Taken, ledger.Place(a)) })
	switch {
	case len(all) == 0 && len(l.missing) > 0: // It may have an address.
		return false, false, d.failed(ctx, m, m.Begun, false, mail.Result{Text: "a procedure document cannot be read"})
	case len(all) == 0:
		return true, false, d.end(ctx, m, m.Begun, ledger.DigestUnreachable)
	case len(left) == 0:
		return true, false, d.end(ctx, m, m.Begun, ledger.DigestSent)
	}
	to := left
	if p := d.pauses[m.Day+m.Person]; p.apart {
		to = left[p.failed%len(left):][:1]
	}
	day, err := ParseDay(m.Day)
	if err != nil {
		return false, false, err
	}
	mine := l.of[m.Person]
	if mine == nil {
		mine = &own{} // The record was replaced by one that ends before the day does.
	}
	letter, err := d.calendar.letter(d.from, day, m.Person, mine, l.missing)
	if err != nil {
		return false, false, fmt.Errorf("write the mail of %s to %s: %w", m.Day, m.Person, err)
	}
	attempt, begun := m.Begun+1, false
	result, err := d.relay.SendPart(ctx, to, letter, func() error {
		err := d.digests.NoteMail(ctx, m.Day, m.Person, attempt, ledger.DigestBegun)
		begun = err == nil
		return err
	})
	if err != nil {
		return false, false, ignoreNoted(err) // Somebody else is at it.
	}
	switch some := len(m.Taken) > 0 || result.Delivered; {
	case some && len(result.Taken)+result.Refused == len(left):
		return true, false, d.end(ctx, m, attempt, ledger.DigestSent)
	case result.Delivered:
		return false, false, d.part(ctx, m, attempt, len(to) < len(left), result)
	}
	return false, result.Down, d.failed(ctx, m, attempt, begun && !result.Ambiguous, result)
}

// part has a mail wait that the relay took for some addresses; where others were not asked
// for, they are soon.
func (d *Digest) part(ctx context.Context, m ledger.DigestMail, attempt int, more bool, result mail.Result) error {
	p := d.pauses[m.Day+m.Person].longer(d.now())
	if more {
		p.until, p.last = time.Time{}, 0
	}
	d.pauses[m.Day+m.Person] = p
	slog.WarnContext(ctx, "the mail that tells somebody what is on record in their name is on its way to some addresses, the others are tried again",
		slog.String("day", m.Day), slog.String("person", m.Person), slog.String("answer", result.Text))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return ignoreNoted(d.digests.NotePart(ctx, m.Day, m.Person, attempt, result.Taken))
}

// failed has a mail wait that the relay did not take.
func (d *Digest) failed(ctx context.Context, m ledger.DigestMail, attempt int, refused bool, result mail.Result) error {
	d.metrics.mails.WithLabelValues("failed").Inc()
	p := d.pauses[m.Day+m.Person].longer(d.now())
	p.apart = p.apart || result.Down
	d.pauses[m.Day+m.Person] = p
	slog.WarnContext(ctx, "the relay did not take the mail that tells somebody what is on record in their name, it is tried again",
		slog.String("day", m.Day), slog.String("person", m.Person), slog.String("answer", result.Text))
	if !refused {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return ignoreNoted(d.digests.NoteMail(ctx, m.Day, m.Person, attempt, ledger.DigestRefused))
}
