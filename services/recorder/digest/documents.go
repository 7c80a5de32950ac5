package digest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// document is one that took effect.
type document struct {
	aggregate string
	activated view.Recorded
	index     *policy.Index
}

// documents are those of a day: each that was in effect when it began, and each that took
// effect since, up to now, oldest first.
type documents struct {
	all []document
	// within are those that took effect on the day.
	within []document
	// missing are those of all that cannot be read.
	missing []*unread
	// judged says of events of procedure documents that they do not follow, and why.
	judged map[uint64]string
}

// unread is a document that could not be read.
type unread struct {
	version, digest string
	since           time.Time
	said            bool
}

// documentsOf reads them. One that cannot be read is an error at first, and where none can:
// whose mail goes where is not known without it. One that cannot be read for long is left
// out: else whoever puts one into effect that is in no store kept all mails from everybody.
func (d *Digest) documentsOf(ctx context.Context, day ledger.DigestDay) (documents, error) {
	history, _, err := d.reader.ProcedureChanges(ctx, "", 0, math.MaxInt)
	if err != nil {
		return documents{}, err
	}
	out := documents{judged: map[uint64]string{}}
	before := map[string]view.Recorded{} // in effect when the day began
	var since []view.Recorded
	for _, r := range slices.Backward(history) {
		out.judged[r.Entry.Sequence] = r.Rejected
		switch {
		case r.Rejected != "" || r.Entry.Event.GetProcedureActivated() == nil:
		case r.Entry.Sequence <= day.After:
			before[r.Entry.Event.GetAggregate()] = r
		default:
			since = append(since, r)
		}
	}
	for _, aggregate := range slices.Sorted(maps.Keys(before)) {
		since = slices.Insert(since, 0, before[aggregate])
	}
	var failed error
	for _, r := range since {
		index, missing, err := d.read(ctx, r)
		if err != nil {
			failed = err
			continue
		}
		if missing != nil {
			out.missing = append(out.missing, missing)
			continue
		}
		one := document{aggregate: r.Entry.Event.GetAggregate(), activated: r, index: index}
		out.all = append(out.all, one)
		if s := r.Entry.Sequence; s > day.After && s <= day.Through {
			out.within = append(out.within, one)
		}
	}
	if len(out.all) == 0 && len(out.missing) > 0 {
		if failed == nil {
			failed = errNone
		}
	}
	if failed != nil {
		return documents{}, fmt.Errorf("read the addresses of people: %w", failed)
	}
	return out, nil
}

// same reports whether they are the same documents, read from the same events.
func (x documents) same(y documents) bool {
	return len(x.judged) == len(y.judged) && slices.Equal(x.missing, y.missing) &&
		slices.EqualFunc(x.all, y.all, func(a, b document) bool { return a.activated.Entry.Sequence == b.activated.Entry.Sequence })
}

// errNone says that no document can be read.
var errNone = errors.New("no procedure document can be read")

// read reads a document. Missing is one that cannot be read for long.
func (d *Digest) read(ctx context.Context, r view.Recorded) (index *policy.Index, missing *unread, err error) {
	a := r.Entry.Event.GetProcedureActivated()
	index, err = d.documents.ByDigest(ctx, a.GetDigest())
	if err == nil {
		delete(d.unread, a.GetDigest())
		return index, nil, nil
	}
	if ctx.Err() != nil {
		return nil, nil, err
	}
	one := d.unread[a.GetDigest()]
	if one == nil {
		one = &unread{version: a.GetVersion(), digest: a.GetDigest(), since: d.now()}
		d.unread[a.GetDigest()] = one
	}
	if d.now().Sub(one.since) < patience {
		return nil, nil, err
	}
	if !one.said {
		one.said = true
		slog.ErrorContext(ctx, "a procedure document cannot be read: people are told what is on record in their name at the addresses of the others",
			slog.String("version", one.version), slog.String("digest", one.digest), slog.Any("error", err))
	}
	return nil, one, nil
}

// idPattern is that of people's ids. Whoever reads a document from the record believes nobody
// that it was checked.
var idPattern = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)

// person returns the id of whom a name means; empty for nobody, and for machines.
func (x documents) person(m mine) string {
	for _, each := range x.all {
		switch p := each.index.Person(m.name); {
		case p == nil || p.GetMachine() || !idPattern.MatchString(p.GetId()):
		case m.named || p.GetId() == m.name:
			return p.GetId()
		}
	}
	return ""
}

// addresses returns where the mail of a person goes: one address of each document, in order
// and once.
func (x documents) addresses(person string) []string {
	var out []string
	for _, each := range x.all {
		if address := addressOf(each.index.Person(person), person); address != "" {
			out = append(out, address)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// addressOf is the first mail address of a person; empty where there is none.
func addressOf(p *policyv1.Person, id string) string {
	if p.GetId() != id {
		return "" // It is the name of somebody else in that document.
	}
	for _, c := range p.GetContacts() {
		if c.GetKind() == policyv1.Contact_KIND_MAIL && mail.CheckAddress(c.GetAddress()) == nil {
			return c.GetAddress()
		}
	}
	return ""
}

// moved returns the entries of those whose address was another one before a document of the
// day took effect. They are told at both.
func (x documents) moved() []mine {
	var out []mine
	newest := map[string]*policy.Index{}
	for _, each := range x.all {
		before := newest[each.aggregate]
		newest[each.aggregate] = each.index
		if before == nil || !slices.ContainsFunc(x.within, func(w document) bool { return w.activated.Entry.Sequence == each.activated.Entry.Sequence }) {
			continue
		}
		a := each.activated.Entry.Event.GetProcedureActivated()
		for _, p := range before.Document().GetPeople() {
			was := addressOf(p, p.GetId())
			if was == "" || !idPattern.MatchString(p.GetId()) || was == addressOf(each.index.Person(p.GetId()), p.GetId()) {
				continue
			}
			out = append(out, mine{name: p.GetId(), Entry: Entry{
				Sequence: each.activated.Entry.Sequence, Stored: each.activated.Entry.Stored,
				What: words(fmt.Sprintf("your mail address was changed or removed by version %s of the procedure document", a.GetVersion())),
			}})
		}
	}
	return out
}
