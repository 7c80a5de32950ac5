package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Proposals writes open proposals of the procedure document as a table.
func Proposals(w io.Writer, all []*releasev1.ProcedureProposal) error {
	t := terminal.NewTable("NUMBER", "VERSION", "PROPOSED BY", "PROPOSED", "EXPIRES", "NEEDS", "APPROVED BY", "WIDENS THE RIGHTS OF", "REASON")
	for _, p := range all {
		t.Add(fmt.Sprint(p.GetNumber()), p.GetVersion(), p.GetProposer(), terminal.Time(p.GetProposed()), terminal.Time(p.GetExpires()),
			Quorum([]*releasev1.QuorumRule{p.GetQuorum()}), people(p.GetApprovals()), strings.Join(p.GetWidened(), ","), terminal.Cut(p.GetReason(), 60))
	}
	return t.Write(w)
}

// Debts writes the reviews that are owed of documents as a table.
func Debts(w io.Writer, all []*releasev1.ProcedureDebt) error {
	t := terminal.NewTable("REVIEW", "VERSION", "FORCED BY (UNCHECKED)", "IN EFFECT SINCE", "DUE", "BLOCKS FROM", "BY A MEMBER OF", "DOCUMENT", "ASSESSMENT")
	for _, d := range all {
		t.Add(fmt.Sprint(d.GetNumber()), d.GetVersion(), d.GetClaimedBy(), terminal.Time(d.GetActivated()), terminal.Time(d.GetDue()),
			terminal.Time(d.GetBlocksFrom()), d.GetGroup(), d.GetDigest(), d.GetAssessmentDigest())
	}
	return t.Write(w)
}

// people are those who approved; a star marks those whose own rights are widened.
func people(all []*releasev1.ProcedureApproval) string {
	var out []string
	for _, a := range all {
		name := a.GetPerson()
		if a.GetOwnRights() {
			name += "*"
		}
		out = append(out, name)
	}
	return strings.Join(out, ",")
}

// Proposal writes what an approver must see of a proposal.
func Proposal(w io.Writer, r *approvalv1.GetProposalResponse) error {
	p := &page{}
	proposal := r.GetProposal()
	expires := terminal.Time(proposal.GetExpires())
	if r.GetExpired() {
		expires += ", which is past"
	}
	p.fields([][2]string{
		{"Proposal", fmt.Sprint(proposal.GetNumber())},
		{"Version", proposal.GetVersion()},
		{"Document", proposal.GetDigest()},
		{"In effect", proposal.GetBaseDigest()},
		{"Proposed by", proposal.GetProposer() + ", " + terminal.Time(proposal.GetProposed())},
		{"Expires", expires},
		{"Needs", Quorum([]*releasev1.QuorumRule{proposal.GetQuorum()}) + ", missing " + fmt.Sprint(r.GetMissing())},
	}...)
	p.prose("Reason", proposal.GetReason())
	t := terminal.NewTable()
	for _, a := range proposal.GetApprovals() {
		own := ""
		if a.GetOwnRights() {
			own = "the proposal widens their own rights"
		}
		t.Add(a.GetPerson(), terminal.Time(a.GetGiven()), terminal.Time(a.GetExpires()), own)
	}
	p.table("Approvals", t, "PERSON", "GIVEN", "EXPIRES", "NOTE")
	p.assessment(r.GetAssessment(), proposal.GetProposer())
	return p.write(w)
}

// Assessment writes what a document changes.
func Assessment(w io.Writer, a *approvalv1.Assessment) error {
	p := &page{}
	p.assessment(a, "")
	return p.write(w)
}

func (p *page) assessment(a *approvalv1.Assessment, proposer string) {
	t := terminal.NewTable()
	for _, x := range a.GetWidened() {
		who := x.GetPerson()
		if who == proposer {
			who += " (who proposes it)"
		}
		for _, right := range x.GetRights() {
			t.Add(who, right)
		}
	}
	p.table("Whose own rights it widens", t, "PERSON", "MAY NOW")
	t = terminal.NewTable()
	for _, l := range a.GetLoosened() {
		t.Add(l)
	}
	p.table("What it demands less of", t)
	p.comparison(a.GetComparison())
	p.prose("Difference", a.GetDiff())
	if a.GetDiffCut() {
		p.line("The difference is longer than this: compare the documents themselves.")
	}
}

// ProcedureChanges writes the history of procedure documents as a table; wide adds
// columns.
func ProcedureChanges(w io.Writer, all []*recorderv1.RecordedEvent, wide bool) error {
	headings := []string{"TIME", "WHAT", "PROPOSAL", "VERSION", "BY", "REASON"}
	if wide {
		headings = append(headings, "DOCUMENT", "ASSESSMENT", "SEQUENCE", "SIGNED BY")
	}
	t := terminal.NewTable(headings...)
	for _, e := range all {
		c := changeOf(e)
		number := ""
		if c.number > 0 {
			number = fmt.Sprint(c.number)
		}
		row := []string{terminal.Time(e.GetStored()), c.what, number, c.version, c.by, c.reason}
		if wide {
			row = append(row, c.digest, c.assessment, fmt.Sprint(e.GetSequence()), e.GetSignedBy())
		}
		t.Add(row...)
	}
	return t.Write(w)
}

// changed is one row of the history.
type changed struct {
	what, version, by, reason, digest, assessment string
	number                                        uint32
}

func changeOf(r *recorderv1.RecordedEvent) changed {
	c := changed{by: r.GetEvent().GetActor().GetId()}
	switch d := r.GetEvent().GetData().(type) {
	case *releasev1.Event_ProcedureProposed:
		p := d.ProcedureProposed.GetProposal()
		c.what, c.number, c.version, c.reason, c.digest, c.assessment = "proposed", p.GetNumber(), p.GetVersion(), p.GetReason(), p.GetDigest(), p.GetAssessmentDigest()
	case *releasev1.Event_ProcedureApproved:
		c.what, c.number, c.reason, c.digest = "approved", d.ProcedureApproved.GetProposal(), d.ProcedureApproved.GetComment(), d.ProcedureApproved.GetDigest()
		if d.ProcedureApproved.GetApproval().GetOwnRights() {
			c.what = "approved, widening their own rights"
		}
	case *releasev1.Event_ProcedureApprovalWithdrawn:
		c.what, c.number, c.reason = "approval withdrawn", d.ProcedureApprovalWithdrawn.GetProposal(), d.ProcedureApprovalWithdrawn.GetReason()
	case *releasev1.Event_ProcedureProposalClosed:
		c.what, c.number, c.reason = terminal.Word(d.ProcedureProposalClosed.GetResult(), "RESULT_"), d.ProcedureProposalClosed.GetProposal(), d.ProcedureProposalClosed.GetReason()
	case *releasev1.Event_ProcedureReviewed:
		c.what, c.reason, c.digest = fmt.Sprintf("reviewed as forced document %d: %s", d.ProcedureReviewed.GetNumber(),
			terminal.Word(d.ProcedureReviewed.GetResult(), "RESULT_")), d.ProcedureReviewed.GetReason(), d.ProcedureReviewed.GetDigest()
		if d.ProcedureReviewed.GetNoneLeft() {
			c.what += ", by one whom the document in effect names"
		}
	case *releasev1.Event_ProcedureActivated:
		c = activated(c, d.ProcedureActivated)
	}
	if r.GetRejected() != "" {
		c.what += ", which does not count: " + r.GetRejected()
	}
	return c
}

func activated(c changed, a *releasev1.ProcedureActivated) changed {
	c.what, c.number, c.version, c.digest, c.reason, c.assessment = "activated", a.GetProposal(), a.GetVersion(), a.GetDigest(), a.GetReason(), a.GetAssessmentDigest()
	switch {
	case len(a.GetBeside()) > 0:
		c.what = "activated around the change control, beside " + strings.Join(a.GetBeside(), ", ")
	case a.GetAdministrative() == releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST:
		c.what = "activated as the first one"
	case a.GetProposal() == 0:
		c.what = "activated around the change control"
	default:
		c.what += ", approved by " + people(a.GetApprovals())
	}
	if d := a.GetDebt(); d != nil {
		c.what += fmt.Sprintf(", and owes review %d until %s", d.GetNumber(), terminal.Time(d.GetDue()))
	}
	if a.GetClaimedBy() != "" {
		c.by += " for " + a.GetClaimedBy() + " (unchecked)"
	}
	return c
}
