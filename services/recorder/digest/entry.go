package digest

import (
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// maxWords bounds what of a text somebody wrote is shown, in characters.
const maxWords = 400

// Entry is one thing that is on record in somebody's name.
type Entry struct {
	// Sequence is its place in the stream, Stored when the bus took it.
	Sequence uint64
	Stored   time.Time
	// What is a sentence of one line, and Notes are further ones, each a name and a value.
	What  string
	Notes [][2]string
	// Rejected says why the record does not count it; empty where it does.
	Rejected string
}

// mine is an entry and the name whose it is, as the event has it.
type mine struct {
	name string
	// named says that the name is one that somebody wrote, not one that was proved: it may be
	// an alias, or nobody's.
	named bool
	Entry
}

// entries returns what a message says in the name of whom; nothing for what is no authentic
// event, whose content is nobody's word.
func entries(r view.Recorded, of ledger.Of) []mine {
	e := r.Entry.Event
	if e == nil {
		return nil
	}
	base := Entry{Sequence: r.Entry.Sequence, Stored: r.Entry.Stored, Notes: notes(e, of), Rejected: words(r.Rejected)}
	var out []mine
	add := func(name string, named bool, what string) {
		if name == "" {
			return
		}
		own := base
		own.What = words(what)
		out = append(out, mine{name: name, named: named, Entry: own})
	}
	by := e.GetActor().GetId()
	human := e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN
	if human {
		add(by, false, tell(e))
	}
	switch d := e.GetData().(type) {
	case *releasev1.Event_Requested:
		if r := d.Requested.GetRequest(); !human {
			add(r.GetRequester(), true, fmt.Sprintf("a release of %s %s to %s was requested, and names you as who requests it", r.GetService(), r.GetVersion(), r.GetEnvironment()))
		}
	case *releasev1.Event_ApprovalGiven:
		if of := d.ApprovalGiven.GetStandIn().GetPerson(); of != by {
			add(of, false, "approved in your place by "+by)
		}
	case *releasev1.Event_DelegationsChanged:
		if of := d.DelegationsChanged.GetChanged().GetPerson(); of != by {
			add(of, false, tell(e))
		}
	case *releasev1.Event_RequestRefused:
		if t := d.RequestRefused.GetDecision(); t != nil && (!human || t.GetPerson() != by) {
			add(t.GetPerson(), false, fmt.Sprintf("tried to decide (%s) on release %s, and was refused", t.GetAction(), t.GetRelease()))
		}
	case *releasev1.Event_ProcedureActivated:
		if !human {
			add(d.ProcedureActivated.GetClaimedBy(), true, tell(e)+", and names you as the administrator who did")
		}
	}
	return out
}

// words is a text in one line.
func words(text string) string { return mail.Line(text, maxWords) }

// notes say what else there is to know of an event.
func notes(e *releasev1.Event, of ledger.Of) [][2]string {
	var out [][2]string
	add := func(name, value string) {
		if value = words(value); value != "" {
			out = append(out, [2]string{name, value})
		}
	}
	add("release", of.Release)
	add("service", strings.TrimSpace(of.Service+" "+of.Version))
	add("environment", of.Environment)
	if e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN {
		add("proved by", e.GetActor().GetMethod())
	}
	signed := "no"
	if given := e.GetApprovalGiven(); given != nil {
		add("change", given.GetChangeDigest())
		add("comment", given.GetComment())
		add("in place of", given.GetStandIn().GetPerson())
		switch s := given.GetSignature(); {
		case s.GetBundle() != "":
			signed = fmt.Sprintf("yes, as %s of %s; the executor verifies it", s.GetIdentity().GetSubject(), s.GetIdentity().GetIssuer())
		case s != nil:
			signed = "yes, with a key; the executor verifies it"
		}
	}
	var groups []string
	for _, on := range e.GetActor().GetOnCall() {
		groups = append(groups, on.GetGroup())
	}
	add("on call for", strings.Join(groups, ", "))
	add("signed", signed)
	return out
}

// tell says what an event is, for people.
func tell(e *releasev1.Event) string {
	id := strings.TrimPrefix(e.GetAggregate(), procedure.ProcedureAggregate(""))
	switch d := e.GetData().(type) {
	case *releasev1.Event_ProcedureProposed:
		p := d.ProcedureProposed.GetProposal()
		return because(fmt.Sprintf("version %s of procedure %s proposed, proposal %d", p.GetVersion(), id, p.GetNumber()), p.GetReason())
	case *releasev1.Event_ProcedureApproved:
		return because(fmt.Sprintf("proposal %d of procedure %s approved", d.ProcedureApproved.GetProposal(), id), d.ProcedureApproved.GetComment())
	case *releasev1.Event_ProcedureApprovalWithdrawn:
		return because(fmt.Sprintf("approval of proposal %d of procedure %s taken back", d.ProcedureApprovalWithdrawn.GetProposal(), id), d.ProcedureApprovalWithdrawn.GetReason())
	case *releasev1.Event_ProcedureProposalClosed:
		c := d.ProcedureProposalClosed
		return because(fmt.Sprintf("proposal %d of procedure %s %s", c.GetProposal(), id, view.Word(c.GetResult(), "RESULT_")), c.GetReason())
	case *releasev1.Event_ProcedureActivated:
		return because(fmt.Sprintf("version %s of procedure %s put into effect", d.ProcedureActivated.GetVersion(), id), d.ProcedureActivated.GetReason())
	case *releasev1.Event_DelegationsChanged:
		c := d.DelegationsChanged.GetChanged()
		if d.DelegationsChanged.GetRevoked() {
			return because(fmt.Sprintf("%s is no stand-in of %s any more", c.GetStandIn(), c.GetPerson()), d.DelegationsChanged.GetReason())
		}
		return because(fmt.Sprintf("%s was made stand-in of %s from %s until %s", c.GetStandIn(), c.GetPerson(),
			c.GetFrom().AsTime().Format(time.RFC3339), c.GetUntil().AsTime().Format(time.RFC3339)), c.GetReason())
	case *releasev1.Event_ClearanceProposed:
		q := d.ClearanceProposed.GetState()
		return because("asked to let artifact "+q.GetDigest()+" out of quarantine", q.GetClearance().GetReason())
	case *releasev1.Event_QuarantineCleared:
		q := d.QuarantineCleared.GetState()
		return because("artifact "+q.GetDigest()+" let out of quarantine", q.GetClearance().GetComment())
	}
	return view.Tell(e)
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
