package document

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/sshsig"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// authorization is who said yes to exactly which change, having seen what, and who
// said no or took something back.
func (w *writer) authorization(r *Record) {
	decisions := w.early(r)
	if r.state.ChangeDigest == "" && len(decisions) == 0 {
		return
	}
	w.section("Authorization")
	var quorum []string
	for _, q := range r.state.Quorum {
		signed := map[bool]string{true: ", signed"}[q.GetSigned()]
		quorum = append(quorum, fmt.Sprintf("%d of %s%s", q.GetCount(), escape(q.GetGroup()), signed))
	}
	var authorized, start, bypassed, due string
	for _, e := range from[*releasev1.Event_Authorized](r) {
		a := e.data.Authorized
		authorized = fmt.Sprintf("%s (event %d)", stamp(e.Entry.Stored), e.Entry.Sequence)
		if a.GetEmergency() {
			authorized += ", as an emergency"
		}
		start, bypassed, due = at(a.GetValidUntil()), series(a.GetBypassed()), at(a.GetReviewDue())
	}
	w.facts([][2]string{
		{"Change that was to be approved", w.digest(r.ChangeDigest, "change: everything that runs, as it was approved")},
		{"Approvals needed", strings.Join(quorum, ", ")},
		{"Approvals needed until", stamp(r.state.ApproveBy)},
		{"Authorized", authorized},
		{"Start allowed until", start},
		{"Controls bypassed", bypassed},
		{"Retrospective review due", due},
	})
	var rows [][]string
	uncounted := "did not count"
	if r.Authorization == nil && r.Outcome == nil {
		uncounted = "not counted yet"
	}
	for _, a := range r.Approvals {
		counted, taken := uncounted, none
		if a.CountedFor != "" {
			counted = escape(a.CountedFor)
		}
		if a.WithdrawnAt != nil {
			taken = stamp(*a.WithdrawnAt)
		}
		proved := none
		if a.Method != "" {
			proved = escape(a.Method) + ", signed with " + code(a.SignedBy)
		}
		rows = append(rows, []string{
			escape(a.Person), escape(a.StandInFor), memberOf(a), counted, stamp(a.Time), stamp(a.Expires),
			w.digest(a.ChangeDigest, "change that "+a.Person+" approved"), w.digest(a.ShownDigest, "what "+a.Person+" was shown"),
			proved, escape(a.Comment), taken, own(a),
		})
	}
	w.table([]string{
		"Approved by", "In place of", "Member of", "Counted for", "When", "Valid until", "Change", "Was shown", "Identity proved by", "Comment", "Taken back", "Signed by the person",
	}, rows)
	w.consents(r)
	w.table([]string{"Event", "When", "Who", "Decision", "Why"}, decisions)
}

// memberOf is the groups, with the shifts by which somebody was in them who is no member.
func memberOf(a Approval) string {
	out := series(a.Groups)
	for _, s := range a.OnCall {
		out += fmt.Sprintf("; on call for %s in shift %d of the rota %s, %s to %s", escape(s.Group), s.Number, escape(s.Rota), stamp(s.From), stamp(s.Until))
		if s.Override != "" {
			out += ", instead of whom it says: " + escape(s.Override)
		}
	}
	return out
}

// own says how somebody signed an approval themselves.
func own(a Approval) string {
	if a.Consent == nil {
		return none
	}
	if a.Consent.Bundle != "" {
		return code("sigstore") + " " + code(a.Consent.Subject) + " by " + code(a.Consent.Issuer)
	}
	s, err := sshsig.Parse(a.Consent.Signature)
	if err != nil {
		return "with a signature that cannot be read"
	}
	return code(s.Key.Type()) + " " + code(sshsig.Fingerprint(s.Key))
}

// consents are the signatures themselves, for whoever checks them by hand.
func (w *writer) consents(r *Record) {
	said := map[bool]bool{}
	for _, a := range r.Approvals {
		if a.Consent == nil {
			continue
		}
		bundle := a.Consent.Bundle != ""
		if !said[bundle] {
			w.paragraph(map[bool]string{
				false: "Who signed did so with a key of their own, which no service has. `shipwarden record --signatures` " +
					"writes what follows into files, with the list of allowed signers of the procedure document, for `ssh-keygen -Y verify`.",
				true: "Who signed with sigstore logged in at the provider that issued the identity, not at a service of ours. " +
					"`shipwarden record --signatures` writes what follows into files, with the trusted root, for `cosign verify-blob`.",
			}[bundle])
		}
		said[bundle] = true
		how := "in the namespace " + code(a.Consent.Namespace) + ", and the signature:"
		if bundle {
			how = "as " + code(a.Consent.Subject) + " of " + code(a.Consent.Issuer) + ", and the bundle:"
		}
		w.paragraph("What " + escape(a.Person) + " signed, " + how)
		w.line("")
		for line := range strings.Lines(a.Consent.Text + "\n" + a.Consent.Signature + a.Consent.Bundle) {
			w.line("    %s", plain(line))
		}
	}
}

// plain is a line of a text that means nothing but itself in a block of code.
func plain(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, line)
}

// early are the decisions that are made before anything is executed.
func (w *writer) early(r *Record) [][]string {
	var rows [][]string
	for _, e := range r.events {
		var what, why string
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_ApprovalWithdrawn:
			what, why = "took the approval back", d.ApprovalWithdrawn.GetReason()
		case *releasev1.Event_Rejected:
			what, why = "rejected the release", d.Rejected.GetReason()
		case *releasev1.Event_Withdrawn:
			what, why = "withdrew the release", d.Withdrawn.GetReason()
		case *releasev1.Event_Superseded:
			what, why = "put a newer release in its place", d.Superseded.GetByRelease()
		case *releasev1.Event_AuthorizationRefused:
			what, why = "tried to authorize the emergency and may not", d.AuthorizationRefused.GetReason()
		case *releasev1.Event_Expired:
			what, why = "let it expire", "nobody acted in time: "+word(d.Expired.GetDeadline(), "DEADLINE_")
		default:
			continue
		}
		rows = append(rows, []string{fmt.Sprint(e.Entry.Sequence), stamp(e.Entry.Stored), who(e.Entry.Event), what, escape(why)})
	}
	return rows
}

// notices is step 4, and every later occasion on which somebody was told.
func (w *writer) notices(r *Record) {
	var rows [][]string
	for _, e := range from[*releasev1.Event_Notified](r) {
		n := e.data.Notified
		occasion := word(n.GetOccasion(), "OCCASION_")
		for _, c := range n.GetReceipts() {
			rows = append(rows, []string{
				fmt.Sprint(e.Entry.Sequence), occasion, escape(c.GetChannel()), answer(c.GetDelivered()), fmt.Sprint(c.GetAttempts()), at(c.GetTime()),
				escape(c.GetResponse()), w.digest(c.GetBodyDigest(), "notice of "+occasion+" to "+c.GetChannel()), code(c.GetKey()),
			})
		}
		for _, x := range n.GetDeferred() {
			rows = append(rows, []string{
				fmt.Sprint(e.Entry.Sequence), occasion, escape(x.GetChannel()), "later", none, at(x.GetUntil()), word(x.GetReason(), "REASON_"), none, none,
			})
		}
		if len(n.GetReceipts())+len(n.GetDeferred()) == 0 {
			rows = append(rows, []string{fmt.Sprint(e.Entry.Sequence), occasion, "no channel", none, none, stamp(e.Entry.Stored), none, none, none})
		}
	}
	if len(rows) == 0 {
		return
	}
	w.section("Step 4: notices")
	w.paragraph("Notices of later occasions are listed here as well.")
	w.table([]string{"Event", "Occasion", "Channel", "Delivered", "Attempts", "When", "Answer", "Content", "Key"}, rows)
	w.meant(r)
}
