package procedure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The roles that one person may have at once. What they are in is what they may do; the
// groups of operators and reviewers are checked at the desk, and give nothing here.
const (
	roleAuthor         = 1 << iota // named by the request
	roleEvidenceAuthor             // named by a review's evidence alone
	roleRequester
	roleOwner
	roleReviewer  // reviewed the code
	roleApprover  // is in the group that is asked
	roleCommander // is in the group that authorizes emergencies
	roleAdmin     // is in every group there is besides, operators and reviewers of emergencies
	roleExecutor  // is a service, with the name of one
	roleApproved  // their approval counted
	roleAll
)

var roleNames = []string{"author", "author by evidence", "requester", "owner", "code reviewer", "approver", "commander", "admin", "executor", "has approved"}

func rolesOf(roles int) string {
	var out []string
	for i, name := range roleNames {
		if roles&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// subject is the person of the table.
const subject = "pat"

// actorWith is them, as whoever authenticated them says.
func actorWith(roles int) *releasev1.Actor {
	a := &releasev1.Actor{Id: subject, Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls"}
	for role, groups := range map[int][]string{
		roleApprover: {"release-managers"}, roleCommander: {"incident-commanders"}, roleAdmin: {"operators", "developers", "sre", "admins"},
	} {
		if roles&role != 0 {
			a.Groups = append(a.Groups, groups...)
		}
	}
	slices.Sort(a.Groups)
	if roles&roleExecutor != 0 {
		a.Kind = releasev1.Actor_KIND_SERVICE
	}
	return a
}

// withRoles is a release that waits for approvals, in which the person has the roles.
func withRoles(t *testing.T, roles int, emergency bool) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(func(r *releasev1.Request) {
		if emergency {
			proceduretest.Emergency(r)
		}
		if roles&roleAuthor != 0 {
			r.Authors = append(r.Authors, subject)
		}
		if roles&roleRequester != 0 {
			r.Requester = subject
		}
		if roles&roleOwner != 0 {
			r.Owner = subject
		}
	}))
	h.To(t, procedure.PhaseGates)
	e := proceduretest.Gates(h.State())
	for _, v := range e.GetGatesConfirmed().GetVerdicts() {
		if roles&roleEvidenceAuthor != 0 {
			v.Authors = append(v.Authors, subject)
		}
		if roles&roleReviewer != 0 {
			v.Reason += ", reviewed by " + subject
		}
	}
	h.Do(t, "", e)
	h.To(t, procedure.PhaseApprove)
	return h
}

const ownPart = roleAuthor | roleEvidenceAuthor | roleRequester | roleOwner

// TestSeparationOfDutiesIsATruthTable goes through all overlaps of roles, in both lanes
// (N-03, PD-A.1). Who is what else does not matter: being an administrator opens nothing,
// and reviewing the code closes nothing.
func TestSeparationOfDutiesIsATruthTable(t *testing.T) {
	rows := 0
	for _, emergency := range []bool{false, true} {
		for roles := range roleApproved { // that one is of the table of the review
			h := withRoles(t, roles, emergency)
			asked := roleApprover
			if emergency {
				asked = roleCommander
			}
			want := roles&roleExecutor == 0 && roles&asked != 0 && (emergency || roles&ownPart == 0)
			err := procedure.MayApprove(h.State(), actorWith(roles), h.State().ChangeDigest, h.Now)
			if (err == nil) != want {
				t.Errorf("emergency %t, %s: may approve: %v", emergency, rolesOf(roles), err)
			}
			// What the fold says is what counts.
			stored := h.Store(h.Next(actorWith(roles), proceduretest.Approval(h.State(), h.Now.Add(time.Hour))))
			if (stored == nil) != want {
				t.Errorf("emergency %t, %s: the fold says %v", emergency, rolesOf(roles), stored)
			}
			if want && emergency && roles&ownPart != 0 {
				h.Do(t, "", proceduretest.Authorize(h.State(), h.Now))
				if !slices.ContainsFunc(h.State().Bypassed, func(b string) bool { return strings.HasPrefix(b, "separation of duties: "+subject) }) {
					t.Errorf("%s: nothing of it is on record as bypassed: %v", rolesOf(roles), h.State().Bypassed)
				}
			}
			rows++
		}
	}
	if rows != 1024 {
		t.Errorf("the table has %d rows", rows)
	}
}

// TestTheRetrospectiveReviewIsATruthTable: of an emergency, by somebody who had no part in
// it. Every row is a release that is over.
func TestTheRetrospectiveReviewIsATruthTable(t *testing.T) {
	over := map[int]*proceduretest.History{}
	for roles := range roleAll {
		if roles&(roleCommander|roleExecutor) != 0 && roles&roleApproved != 0 {
			continue // who approved is a commander in this table, and no service
		}
		part := roles & (ownPart | roleApproved)
		h, done := over[part]
		if !done {
			h = withRoles(t, part, true)
			if part&roleApproved != 0 {
				if err := h.Store(h.Next(actorWith(roleCommander), proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))); err != nil {
					t.Fatal(err)
				}
			}
			h.To(t, procedure.PhaseFollowUp)
			over[part] = h
		}
		want := part == 0 && roles&roleExecutor == 0
		role := h.State().ReviewConflict(subject)
		if (role == "") != (part == 0) {
			t.Errorf("%s: may not review because %q", rolesOf(roles), role)
		}
		err := h.Clone().Store(h.Next(actorWith(roles), proceduretest.Review()))
		if (err == nil) != want {
			t.Errorf("%s: the fold says %v", rolesOf(roles), err)
		}
	}
	if len(over) != 32 {
		t.Errorf("%d releases", len(over))
	}
}

// TestNoServiceDecides whatever it calls itself, and whatever it says it is in.
func TestNoServiceDecides(t *testing.T) {
	for _, kind := range []releasev1.Actor_Kind{releasev1.Actor_KIND_SERVICE, releasev1.Actor_KIND_UNSPECIFIED, 7} {
		for what, event := range map[string]func(h *proceduretest.History) *releasev1.Event{
			"approve": func(h *proceduretest.History) *releasev1.Event {
				return proceduretest.Approval(h.State(), h.Now.Add(time.Hour))
			},
			"reject":   func(*proceduretest.History) *releasev1.Event { return proceduretest.Reject() },
			"withdraw": func(*proceduretest.History) *releasev1.Event { return proceduretest.Withdraw() },
		} {
			h := withRoles(t, 0, false)
			for _, id := range []string{procedure.ServiceApproval, procedure.ServiceExecutor, "anna", "otto"} {
				actor := &releasev1.Actor{Id: id, Kind: kind, Method: "bus", Groups: []string{"release-managers", "security"}}
				if err := h.Store(h.Next(actor, event(h))); err == nil {
					t.Errorf("%s as %s %s", id, kind, what)
				}
			}
		}
	}
}
