package document

import (
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// meant is for whom notices were meant, what became of them for each, and who said that
// they know (N-15).
func (w *writer) meant(r *Record) {
	var rows [][]string
	for _, e := range from[*releasev1.Event_Notified](r) {
		n := e.data.Notified
		for _, p := range n.GetAudience() {
			demand := none
			if by := p.GetAcknowledgeBy(); by != nil {
				demand = "one by " + at(by)
				if p.GetEverybody() {
					demand = "each by " + at(by)
				}
			}
			if len(p.GetPeople()) == 0 {
				rows = append(rows, []string{fmt.Sprint(e.Entry.Sequence), word(n.GetOccasion(), "OCCASION_"), escape(p.GetAudience()), escape(p.GetReason()), "nobody", none, demand, none})
			}
			for _, person := range p.GetPeople() {
				rows = append(rows, []string{
					fmt.Sprint(e.Entry.Sequence), word(n.GetOccasion(), "OCCASION_"), escape(p.GetAudience()), escape(p.GetReason()), escape(person),
					became(recipients(r, e.Entry.Sequence, n), person), demand, known(r, e.Entry.Sequence, n, person),
				})
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	w.paragraph("For whom they were meant, by the rules of the procedure document.")
	w.table([]string{"Event", "Occasion", "Audience", "Why", "Person", "State", "To be acknowledged", "Acknowledged"}, rows)
}

// recipients is what became of a notice for people, with what was told later of what an
// event deferred.
func recipients(r *Record, sequence uint64, n *releasev1.Notified) []*releasev1.Recipient {
	var later []*releasev1.Recipient
	for _, e := range from[*releasev1.Event_Notified](r) {
		if e.data.Notified.GetDeferredBy() == sequence {
			later = append(later, e.data.Notified.GetRecipients()...)
		}
	}
	// Where people were told at once, by another channel, that stays the first.
	var out []*releasev1.Recipient
	for _, each := range n.GetRecipients() {
		if each.GetState() != releasev1.Recipient_STATE_DEFERRED {
			out = append(out, each)
		}
	}
	return append(append(out, later...), n.GetRecipients()...)
}

// became is what became of a notice for one person.
func became(all []*releasev1.Recipient, person string) string {
	for _, each := range all {
		if each.GetPerson() == person {
			return word(each.GetState(), "STATE_") + " (" + escape(strings.Join(each.GetChannels(), ", ")) + ")"
		}
	}
	return "no channel"
}

// known is when a person said that they know of a notice, after it was told under that
// event and before it was told anew.
func known(r *Record, sequence uint64, n *releasev1.Notified, person string) string {
	for _, e := range from[*releasev1.Event_Notified](r) {
		if e.Entry.Sequence > sequence && e.data.Notified.GetDeferredBy() == 0 && e.data.Notified.GetOccasion() == n.GetOccasion() && e.data.Notified.GetNumber() == n.GetNumber() {
			return knownBetween(r, sequence, e.Entry.Sequence, n, person)
		}
	}
	return knownBetween(r, sequence, ^uint64(0), n, person)
}

func knownBetween(r *Record, after, before uint64, n *releasev1.Notified, person string) string {
	for _, e := range from[*releasev1.Event_NoticeAcknowledged](r) {
		d := e.data.NoticeAcknowledged
		if s := e.Entry.Sequence; s > after && s < before && d.GetOccasion() == n.GetOccasion() && d.GetNumber() == n.GetNumber() &&
			e.Entry.Event.GetActor().GetId() == person {
			return strings.TrimSpace(stamp(e.Entry.Stored) + " " + escape(d.GetComment()))
		}
	}
	return none
}
