package policy

import (
	"fmt"
	"slices"
)

// changeControl checks that the document can be changed again: that there is somebody who
// may propose, beside enough others who may approve (PD-9.4).
func (c *checker) changeControl() {
	control := c.document.GetChangeControl()
	if control == nil {
		return
	}
	c.known("change_control.proposer_groups", "group", control.GetProposerGroups(), c.hasGroup)
	rule := control.GetApprovals()
	c.approvers("change_control.approvals.group", rule.GetGroup(), int(rule.GetCount()))
	board := c.index.People(rule.GetGroup())
	if len(board) < int(rule.GetCount()) {
		return // It was said that they are too few.
	}
	proposers := c.index.Proposers()
	if len(proposers) == 0 {
		c.report("change_control.proposer_groups", "change_control.nobody", "nobody is in these groups who could propose a change")
		return
	}
	// A proposer is no approver of the own proposal.
	if len(board) == int(rule.GetCount()) && !slices.ContainsFunc(proposers, func(id string) bool { return !slices.Contains(board, id) }) {
		c.report("change_control.approvals.count", "change_control.small",
			"%d of %s are needed besides the proposer, and whoever may propose is one of the %d who can", rule.GetCount(), rule.GetGroup(), len(board))
	}
}

// Proposers returns the ids of the people who may propose another document, in
// alphabetical order: nobody where the document has no change control.
func (x *Index) Proposers() []string {
	control := x.document.GetChangeControl()
	if control == nil {
		return nil
	}
	var ids []string
	for _, person := range x.document.GetPeople() {
		if !person.GetInactive() && !person.GetMachine() && x.MayPropose(x.GroupsOf(person.GetId())) {
			ids = append(ids, person.GetId())
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// MayPropose reports whether a person, who is there and no machine, may propose another
// document.
func (x *Index) MayPropose(groups []string) bool {
	control := x.document.GetChangeControl()
	if control == nil {
		return false
	}
	return len(control.GetProposerGroups()) == 0 ||
		slices.ContainsFunc(control.GetProposerGroups(), func(g string) bool { return slices.Contains(groups, g) })
}

// LockedOut says why a document could never be changed again the way that it prescribes,
// or "". It is asked of a document that is proposed; one that an administrator begins
// with may be without.
func LockedOut(x *Index) error {
	if x.document.GetChangeControl() == nil {
		return fmt.Errorf("%w: change_control: it says nobody who may change it again", ErrInvalid)
	}
	return nil
}
