package digest

import (
	"context"
	"maps"
	"slices"

	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// list is what is on record of a day, by person.
type list struct {
	day ledger.DigestDay
	of  map[string]*own
	documents
	// unverified is how many messages no known key vouches for, nobodys how many events name
	// somebody whom no document knows.
	unverified, nobodys int
}

// own is what is on record in the name of one person.
type own struct{ counted, rejected some }

// some are the first entries of many, and how many there are.
type some struct {
	first []Entry
	all   int
}

// maxEntries bounds how many entries a mail lists; how many more there are is said.
const maxEntries = 500

func (s *some) add(e Entry) {
	if s.all++; len(s.first) < maxEntries {
		s.first = append(s.first, e)
	}
}

func (l *list) give(person string, e Entry) {
	o := l.of[person]
	if o == nil {
		o = &own{}
		l.of[person] = o
	}
	if e.Rejected == "" {
		o.counted.add(e)
	} else {
		o.rejected.add(e)
	}
}

// people are those who are told, in alphabetical order.
func (l *list) people() []string { return slices.Sorted(maps.Keys(l.of)) }

// listOf reads what is on record of a day. It is read once while the day stands for the same
// messages and no document takes effect.
func (d *Digest) listOf(ctx context.Context, day ledger.DigestDay) (*list, error) {
	documents, err := d.documentsOf(ctx, day)
	if err != nil {
		return nil, err
	}
	if l := d.lists[day.Day]; l != nil && l.day == day && l.same(documents) {
		return l, nil
	}
	l := &list{day: day, of: map[string]*own{}, documents: documents}
	err = d.reader.Between(ctx, day.After, day.Through, func(r view.Recorded, of ledger.Of) error {
		if r.Entry.Event == nil {
			l.unverified++
			return nil
		}
		if why := l.judged[r.Entry.Sequence]; r.Rejected == "" {
			r.Rejected = why
		}
		l.add(entries(r, of))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range l.moved() {
		l.give(m.name, m.Entry)
	}
	d.lists[day.Day] = l
	return l, nil
}

func (l *list) add(all []mine) {
	for _, m := range all {
		if person := l.person(m); person != "" {
			l.give(person, m.Entry)
		} else if !m.named {
			l.nobodys++
		}
	}
}
