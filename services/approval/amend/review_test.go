package amend_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// force puts a document into effect past its approvals.
func (r *rig) force(t *testing.T, claimedBy string, document []byte) *releasev1.ProcedureDebt {
	t.Helper()
	doc, err := policy.Parse(document, "document")
	if err != nil {
		t.Fatal(err)
	}
	how := amend.Administrative{Reason: "it burns", ClaimedBy: claimedBy, Override: true}
	active, changed, err := amend.Activate(t.Context(), r.config(), amend.Document{Procedure: doc, Bytes: document}, how)
	if err != nil || !changed {
		t.Fatalf("forced: %t, %v", changed, err)
	}
	owed := active.Document.Standing.GetDebts()
	return owed[len(owed)-1]
}

func (r *rig) review(t *testing.T, who string, d *releasev1.ProcedureDebt) (uint32, error) {
	t.Helper()
	return r.reviewAs(as(t, who), d)
}

func (r *rig) reviewAs(ctx context.Context, d *releasev1.ProcedureDebt) (uint32, error) {
	answer, err := r.ReviewDocument(ctx, &approvalv1.ReviewDocumentRequest{
		Number: d.GetNumber(), Digest: d.GetDigest(), Result: releasev1.ProcedureReviewed_RESULT_NOT_JUSTIFIED, Reason: "nothing burned",
	})
	return answer.GetOwed(), err
}

// last is the newest event of the document's history.
func (r *rig) last(t *testing.T) *releasev1.Event {
	t.Helper()
	e, _, err := r.Store.Last(t.Context(), procedure.ProcedureAggregate(approvaltest.ProcedureID))
	if err != nil {
		t.Fatal(err)
	}
	return e.Event
}

func TestAForcedDocumentIsReviewedBySomebodyElse(t *testing.T) {
	r := newRig(t)
	before := r.Digest
	started := time.Now()
	d := r.force(t, "Ben", version(t, "1.1"))
	if d.GetNumber() != 1 || d.GetVersion() != "1.1" || d.GetClaimedBy() != "Ben" || d.GetJudgedBy() != before || d.GetGroup() != "security" || d.GetAssessmentDigest() == "" {
		t.Errorf("owed is %v", d)
	}
	// As the document before says for emergencies: 48 hours, and 24 more.
	if due := d.GetDue().AsTime(); due.Before(started.Add(48*time.Hour)) || due.After(time.Now().Add(48*time.Hour)) || d.GetBlocksFrom().AsTime().Sub(due) != 24*time.Hour {
		t.Errorf("due %s, blocks from %s", due, d.GetBlocksFrom().AsTime())
	}
	for name, test := range map[string]struct {
		who  string
		code codes.Code
		why  string
	}{
		"who forced it, in other letters": {"ben", codes.PermissionDenied, "OWN_ACTIVATION"},
		"not of the group":                {"anna", codes.PermissionDenied, "NOT_REVIEWER"},
		"a machine":                       {"ci-bot", codes.PermissionDenied, "MACHINE"},
		"who has left":                    {"hugo", codes.PermissionDenied, "INACTIVE_PERSON"},
		"a stranger":                      {"mallory", codes.PermissionDenied, "UNKNOWN_PERSON"},
	} {
		_, err := r.review(t, test.who, d)
		refused(t, name, err, test.code, test.why)
	}
	_, err := r.ReviewDocument(as(t, "cleo"), &approvalv1.ReviewDocumentRequest{Number: 1, Digest: before, Result: 1, Reason: "x"})
	refused(t, "another document", err, codes.Aborted, "OTHER_DOCUMENT_OWED")
	if owed, err := r.review(t, "cleo", d); err != nil || owed != 0 {
		t.Fatalf("%d owed: %v", owed, err)
	}
	e := r.last(t)
	if got := e.GetProcedureReviewed(); e.GetActor().GetId() != "cleo" || got.GetResult() != releasev1.ProcedureReviewed_RESULT_NOT_JUSTIFIED || got.GetReason() != "nothing burned" ||
		got.GetJudgedBy() != before || got.GetGroup() != "security" || got.GetNoneLeft() {
		t.Errorf("on record is %v", e)
	}
	if s := r.inEffect(t).Document.Standing; s.GetVersion() != "1.1" || len(s.GetDebts()) != 0 {
		t.Errorf("it stands at %v", s)
	}
	// An answer that was lost: the same call again finds it; anything else finds no debt.
	if owed, err := r.review(t, "cleo", d); err != nil || owed != 0 {
		t.Errorf("again: %d owed, %v", owed, err)
	}
	_, err = r.review(t, "alan", d)
	refused(t, "by somebody else, too late", err, codes.NotFound, "NO_REVIEW_OWED")
}

// TestWhoForcedADocumentReviewsItUnderNoOtherAccount: by the document before, and by the
// one in effect, which may know of another account.
func TestWhoForcedADocumentReviewsItUnderNoOtherAccount(t *testing.T) {
	alias := func(name string) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) { d.People[1].Aliases = append(d.People[1].Aliases, name) } // ben
	}
	r := newRig(t, alias("ben@shop.example"))
	d := r.force(t, "ben@shop.example", version(t, "1.1"))
	_, err := r.review(t, "ben", d)
	refused(t, "known before", err, codes.PermissionDenied, "OWN_ACTIVATION")
	d = r.force(t, "root-7", version(t, "1.2", alias("root-7")))
	_, err = r.review(t, "ben", d)
	refused(t, "known by the one in effect", err, codes.PermissionDenied, "OWN_ACTIVATION")
	if _, err := r.review(t, "alan", d); err != nil {
		t.Error(err)
	}
}

// friends names other reviewers than the document before: who reviews a forced document is
// not its own to say.
func friends(d *policyv1.Procedure) {
	d.Groups = append(d.Groups, &policyv1.Group{Name: "friends", Members: []string{"finn", "gina"}})
	d.Emergency.ReviewGroup = "friends"
}

func TestAForcedDocumentDoesNotChooseItsReviewers(t *testing.T) {
	r := newRig(t)
	first := r.force(t, "dave", version(t, "1.1", friends))
	_, err := r.review(t, "finn", first)
	refused(t, "whom the forced document put there", err, codes.PermissionDenied, "NOT_REVIEWER")
	// Nor does it for a second one that is forced before it is reviewed.
	second := r.force(t, "dave", version(t, "1.2", friends, func(d *policyv1.Procedure) {
		d.People = append(d.People, &policyv1.Person{Id: "new", Name: "New"})
		d.Groups[1].Members = append(d.Groups[1].Members, "new")
	}))
	if second.GetNumber() != 2 || second.GetJudgedBy() != first.GetJudgedBy() || second.GetGroup() != "security" {
		t.Errorf("owed is %v", second)
	}
	_, err = r.review(t, "finn", second)
	refused(t, "of the second", err, codes.PermissionDenied, "NOT_REVIEWER")
	_, err = r.review(t, "new", second)
	refused(t, "whom the document before does not know", err, codes.PermissionDenied, "NOT_REVIEWER")
	// Whom the document before names may, although the one in effect has them in no group.
	third := r.force(t, "dave", version(t, "1.3", func(d *policyv1.Procedure) {
		d.Groups[1].Members = []string{"ada", "alan", "anna"}
		d.ChangeControl.Approvals.Count = 1
	}))
	if owed, err := r.review(t, "cleo", third); err != nil || owed != 2 {
		t.Errorf("%d owed: %v", owed, err)
	}
	for _, d := range []*releasev1.ProcedureDebt{first, second} {
		if _, err := r.review(t, "cleo", d); err != nil {
			t.Error(err)
		}
	}
	// When all is reviewed, the next one is judged by what is in effect.
	if next := r.force(t, "dave", version(t, "1.4")); next.GetJudgedBy() != third.GetDigest() {
		t.Errorf("judged by %s", next.GetJudgedBy())
	}
}

// TestWhenNobodyIsLeftOthersReview: the way does not end when the whole group has left, and
// that it went another way is on record.
func TestWhenNobodyIsLeftOthersReview(t *testing.T) {
	r := newRig(t)
	gone := func(who ...string) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			friends(d)
			d.Groups[1].Members = append(d.Groups[1].Members, "rita", "dan") // security is asked for elsewhere
			has := func(id string) bool { return slices.Contains(who, id) }
			for _, p := range d.GetPeople() {
				p.Inactive = p.GetInactive() || has(p.GetId())
			}
			for _, g := range d.GetGroups() {
				g.Members = slices.DeleteFunc(g.GetMembers(), has)
			}
			d.ChangeControl.Approvals = &policyv1.Approvals{Group: "friends", Count: 1}
		}
	}
	d := r.force(t, "ben", version(t, "1.1", gone("cleo", "ada")))
	_, err := r.review(t, "finn", d)
	refused(t, "while alan is left", err, codes.PermissionDenied, "NOT_REVIEWER")
	_, err = r.review(t, "cleo", d)
	refused(t, "who has left", err, codes.PermissionDenied, "INACTIVE_PERSON")
	d = r.force(t, "ben", version(t, "1.2", gone("cleo", "ada", "alan")))
	_, err = r.review(t, "ben", d)
	refused(t, "who forced it", err, codes.PermissionDenied, "OWN_ACTIVATION")
	_, err = r.review(t, "finn", d)
	refused(t, "while who forced it is left", err, codes.PermissionDenied, "NOT_REVIEWER")
	d = r.force(t, "ben", version(t, "1.3", gone("cleo", "ada", "alan", "ben")))
	_, err = r.review(t, "ben", d)
	refused(t, "who forced it, and has left", err, codes.PermissionDenied, "INACTIVE_PERSON")
	_, err = r.review(t, "anna", d)
	refused(t, "of no group", err, codes.PermissionDenied, "NOT_REVIEWER")
	if _, err := r.review(t, "finn", d); err != nil {
		t.Fatal(err)
	}
	if got := r.last(t).GetProcedureReviewed(); !got.GetNoneLeft() || got.GetJudgedBy() != d.GetDigest() || got.GetGroup() != "friends" {
		t.Errorf("on record is %v", got)
	}
}

// auditors has one person review what goes around the change control: ben, where the identity
// provider has him in its group.
func auditors(provider string) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		d.Groups = append(d.Groups, &policyv1.Group{Name: "auditors", Members: []string{"ben"}, ProviderGroup: provider})
		d.Emergency.ReviewGroup = "auditors"
	}
}

// approved puts a document into effect the right way.
func (r *rig) approved(t *testing.T, proposer string, document []byte, approvers ...string) {
	t.Helper()
	p := r.propose(t, proposer, document)
	for _, who := range approvers {
		if _, err := r.approve(t, who, p); err != nil {
			t.Fatalf("approved by %s: %v", who, err)
		}
	}
	if _, err := r.activate(t, proposer, p); err != nil {
		t.Fatal(err)
	}
}

// TestWhoForcesADocumentIsNotGone: where they are the only one who reviews, those whom their
// document names do not come in their place. Those do whom people name in the right way.
func TestWhoForcesADocumentIsNotGone(t *testing.T) {
	r := newRig(t, auditors(""))
	d := r.force(t, "ben", version(t, "1.1", friends))
	for who, want := range map[string]string{"ben": "OWN_ACTIVATION", "finn": "NOT_REVIEWER", "cleo": "NOT_REVIEWER"} {
		_, err := r.review(t, who, d)
		refused(t, who, err, codes.PermissionDenied, want)
	}
	r.approved(t, "otto", version(t, "1.2", friends), "alan", "cleo")
	_, err := r.review(t, "ben", d)
	refused(t, "who forced it", err, codes.PermissionDenied, "OWN_ACTIVATION")
	_, err = r.review(t, "cleo", d)
	refused(t, "whom neither names", err, codes.PermissionDenied, "NOT_REVIEWER")
	if _, err := r.review(t, "finn", d); err != nil {
		t.Fatal(err)
	}
	// It is on record as what it is, and an alert says so.
	if got := r.last(t).GetProcedureReviewed(); !got.GetNoneLeft() || got.GetJudgedBy() != r.inEffect(t).Digest || got.GetGroup() != "friends" {
		t.Errorf("on record is %v", got)
	}
}

// TestWhomTheProviderTookOutDoNotBlockForEver: they are there by every document, and may not.
func TestWhomTheProviderTookOutDoNotBlockForEver(t *testing.T) {
	r := newRig(t, auditors("idp-auditors"))
	d := r.force(t, "dave", version(t, "1.1"))
	ben := func(groups ...string) context.Context {
		return identity.NewContext(t.Context(), identity.Caller{Names: []string{"ben"}, Method: identity.MethodOIDC, Provided: true, Groups: groups})
	}
	_, err := r.reviewAs(ben("idp-others"), d)
	refused(t, "taken out", err, codes.PermissionDenied, "NOT_REVIEWER")
	_, err = r.review(t, "finn", d)
	refused(t, "nobody named him yet", err, codes.PermissionDenied, "NOT_REVIEWER")
	r.approved(t, "otto", version(t, "1.2", friends), "alan", "cleo")
	// Another one that is forced takes the right away again.
	second := r.force(t, "dave", version(t, "1.3", friends))
	_, err = r.review(t, "finn", d)
	refused(t, "whom a forced one names", err, codes.PermissionDenied, "NOT_REVIEWER")
	r.approved(t, "otto", version(t, "1.4", friends), "alan", "cleo")
	for _, o := range []*releasev1.ProcedureDebt{d, second} {
		if _, err := r.review(t, "finn", o); err != nil {
			t.Error(err)
		}
	}
	// Whoever the document before names may all the while.
	third := r.force(t, "dave", version(t, "1.5", auditors("idp-auditors")))
	r.approved(t, "otto", version(t, "1.6", auditors("idp-auditors")), "alan", "cleo")
	if _, err := r.review(t, "gina", third); err != nil || r.last(t).GetProcedureReviewed().GetNoneLeft() {
		t.Errorf("on record is %v: %v", r.last(t), err)
	}
}

// TestAForcedDocumentDoesNotChooseWhoApprovesItsReviewers: a document is not approved in the
// right way by those whom the forced one put in charge.
func TestAForcedDocumentDoesNotChooseWhoApprovesItsReviewers(t *testing.T) {
	for name, change := range map[string]func(*policyv1.Procedure){
		"its friends": func(d *policyv1.Procedure) {
			d.ChangeControl.Approvals = &policyv1.Approvals{Group: "friends", Count: 1}
		},
		"fewer than before": func(d *policyv1.Procedure) {
			d.ChangeControl.Approvals = &policyv1.Approvals{Group: "security", Count: 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			bent := version(t, "1.1", friends, change)
			d := r.force(t, "dave", bent)
			approver := "gina"
			if name == "fewer than before" {
				approver = "alan"
			}
			r.approved(t, "otto", version(t, "1.2", friends, change), approver)
			_, err := r.review(t, "finn", d)
			refused(t, "of the friends", err, codes.PermissionDenied, "NOT_REVIEWER")
			if _, err := r.review(t, "cleo", d); err != nil {
				t.Error(err)
			}
		})
	}
}

// alone lets one member of security approve a change.
func alone(d *policyv1.Procedure) { d.ChangeControl.Approvals.Count = 1 }

// also gives somebody one more name.
func also(id, name string) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		for _, p := range d.GetPeople() {
			if p.GetId() == id {
				p.Aliases = append(p.Aliases, name)
			}
		}
	}
}

// TestWhoForcesADocumentDoesNotApproveWhoReviewsIt: under no name that any of the documents
// has for them, and not by proposing it either. What others approve without them counts.
func TestWhoForcesADocumentDoesNotApproveWhoReviewsIt(t *testing.T) {
	for name, test := range map[string]struct {
		claimedBy string
		before    func(*policyv1.Procedure)
		forced    []func(*policyv1.Procedure)
		proposer  string
		approvers []string
		reviews   bool
	}{
		"alone":                           {claimedBy: "alan", before: alone, proposer: "otto", approvers: []string{"alan"}},
		"in other letters":                {claimedBy: "Alan", before: alone, proposer: "otto", approvers: []string{"alan"}},
		"by a name of before":             {claimedBy: "root-7", before: func(d *policyv1.Procedure) { alone(d); also("alan", "root-7")(d) }, proposer: "otto", approvers: []string{"alan"}},
		"by a name that the forced knows": {claimedBy: "root-7", before: alone, forced: []func(*policyv1.Procedure){also("alan", "root-7")}, proposer: "otto", approvers: []string{"alan"}},
		"as one of two":                   {claimedBy: "alan", before: governed, proposer: "otto", approvers: []string{"alan", "cleo"}},
		"by their proposal":               {claimedBy: "otto", before: alone, proposer: "otto", approvers: []string{"cleo"}},
		"another without them":            {claimedBy: "alan", before: alone, proposer: "otto", approvers: []string{"cleo"}, reviews: true},
		"as one too many":                 {claimedBy: "alan", before: governed, proposer: "otto", approvers: []string{"alan", "cleo", "ben"}, reviews: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.before)
			changes := append([]func(*policyv1.Procedure){test.before, friends}, test.forced...)
			d := r.force(t, test.claimedBy, version(t, "1.1", changes...))
			// It does not know any more what the forced one knows.
			r.approved(t, test.proposer, version(t, "1.2", test.before, friends), test.approvers...)
			_, err := r.review(t, "finn", d)
			if test.reviews {
				if err != nil || !r.last(t).GetProcedureReviewed().GetNoneLeft() {
					t.Errorf("on record is %v: %v", r.last(t), err)
				}
				return
			}
			refused(t, "of the friends", err, codes.PermissionDenied, "NOT_REVIEWER")
			if _, err := r.review(t, "ben", d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatAForcedDocumentKnewOfWhoForcedItIsNotForgotten: that they are somebody else as well
// is on record, although the document in effect does not say so any more.
func TestWhatAForcedDocumentKnewOfWhoForcedItIsNotForgotten(t *testing.T) {
	r := newRig(t, alone)
	d := r.force(t, "root-7", version(t, "1.1", alone, friends, also("alan", "root-7")))
	r.approved(t, "otto", version(t, "1.2", alone, friends), "cleo")
	r.approved(t, "otto", version(t, "1.3", alone, friends), "alan")
	_, err := r.review(t, "alan", d)
	refused(t, "who forced it", err, codes.PermissionDenied, "OWN_ACTIVATION")
	_, err = r.review(t, "finn", d)
	refused(t, "approved by who forced it", err, codes.PermissionDenied, "NOT_REVIEWER")
	// Nor does somebody propose it whom nobody knew before.
	r.approved(t, "otto", version(t, "1.4", alone, friends, func(d *policyv1.Procedure) {
		d.People = append(d.People, &policyv1.Person{Id: "new", Name: "New"})
		d.Groups[3].Members = append(d.Groups[3].Members, "new") // developers
	}), "cleo")
	r.approved(t, "new", version(t, "1.5", alone, friends), "cleo")
	_, err = r.review(t, "finn", d)
	refused(t, "proposed by a stranger", err, codes.PermissionDenied, "NOT_REVIEWER")
	r.approved(t, "otto", version(t, "1.6", alone, friends), "cleo")
	if _, err := r.review(t, "finn", d); err != nil {
		t.Error(err)
	}
}

// TestAForcedDocumentLetsNoStrangersApproveItsReviewers: an approval has an id, and whoever
// gave it may have it by another name, which the forced document made up.
func TestAForcedDocumentLetsNoStrangersApproveItsReviewers(t *testing.T) {
	both := func(d *policyv1.Procedure) {
		also("alan", "mallory")(d)
		also("cleo", "malory2")(d)
	}
	r := newRig(t)
	d := r.force(t, "dave", version(t, "1.1", friends, both))
	r.approved(t, "otto", version(t, "1.2", friends), "mallory", "malory2")
	_, err := r.review(t, "finn", d)
	refused(t, "approved by strangers", err, codes.PermissionDenied, "NOT_REVIEWER")
	// Those whom the document before knows by all their names are who they were.
	r.approved(t, "otto", version(t, "1.3", friends), "alan", "cleo")
	if _, err := r.review(t, "finn", d); err != nil {
		t.Error(err)
	}

	// Whoever looks like somebody in writing is not them: the first letter is a long s.
	r = newRig(t, also("alan", "sam"))
	d = r.force(t, "dave", version(t, "1.1", friends, also("alan", "\u017fam")))
	r.approved(t, "otto", version(t, "1.2", friends), "\u017fam", "cleo")
	_, err = r.review(t, "finn", d)
	refused(t, "approved by a look-alike", err, codes.PermissionDenied, "NOT_REVIEWER")
}

// lost is evidence of which one piece is not there any more.
type lost struct {
	amend.Evidence
	digest string
}

func (l lost) Get(ctx context.Context, digest string) ([]byte, error) {
	if digest == l.digest {
		return nil, fmt.Errorf("%w: %s", evidence.ErrNotFound, digest)
	}
	return l.Evidence.Get(ctx, digest)
}

// TestADocumentThatNobodyCanReadDoesNotKeepAForcedOneFromReview: a broken document is one
// of the reasons to force another.
func TestADocumentThatNobodyCanReadDoesNotKeepAForcedOneFromReview(t *testing.T) {
	r := newRig(t)
	kept := lost{r.Evidence, r.Digest}
	c := r.config()
	c.Evidence, c.Procedures = kept, policy.NewSource(kept.Get)
	r.Server = amend.NewServer(c)
	document := version(t, "1.1", friends)
	doc, err := policy.Parse(document, "document")
	if err != nil {
		t.Fatal(err)
	}
	active, _, err := amend.Activate(t.Context(), c, amend.Document{Procedure: doc, Bytes: document}, amend.Administrative{Reason: "it is broken", ClaimedBy: "finn", Override: true})
	if err != nil {
		t.Fatal(err)
	}
	d := active.Document.Standing.GetDebts()[0]
	if d.GetJudgedBy() != r.Digest || d.GetGroup() != "friends" || d.GetDue().AsTime().Sub(d.GetActivated().AsTime()).Round(time.Minute) != procedure.UnreadReviewWithin {
		t.Errorf("owed is %v", d)
	}
	_, err = r.review(t, "finn", d)
	refused(t, "who forced it", err, codes.PermissionDenied, "OWN_ACTIVATION")
	if _, err := r.review(t, "gina", d); err != nil || !r.last(t).GetProcedureReviewed().GetNoneLeft() {
		t.Errorf("on record is %v: %v", r.last(t), err)
	}
	// Perhaps all of those whom it names are left: nobody can say, and the record does not.
	const want = "nothing burned [the document before cannot be read, so that the one in effect says who reviews]"
	if got := r.last(t).GetProcedureReviewed().GetReason(); got != want {
		t.Errorf("on record is %q, want %q", got, want)
	}
	// The answer was lost, and the call comes again.
	if owed, err := r.review(t, "gina", d); err != nil || owed != 0 {
		t.Errorf("again: %d owed, %v", owed, err)
	}
	_, err = r.review(t, "cleo", d)
	refused(t, "by somebody else, too late", err, codes.NotFound, "NO_REVIEW_OWED")
}

// beside puts a document of another id into effect.
func (r *rig) beside(t *testing.T, id string) *releasev1.ProcedureDebt {
	t.Helper()
	document := version(t, "1.0", friends, func(d *policyv1.Procedure) { d.Id = id })
	doc, err := policy.Parse(document, "document")
	if err != nil {
		t.Fatal(err)
	}
	c := r.config()
	c.ProcedureID = id
	active, _, err := amend.Activate(t.Context(), c, amend.Document{Procedure: doc, Bytes: document}, amend.Administrative{Reason: "anew", ClaimedBy: "dave", Override: true})
	if err != nil {
		t.Fatal(err)
	}
	owed := active.Document.Standing.GetDebts()
	if len(owed) != 1 {
		t.Fatalf("owed is %v", owed)
	}
	return owed[0]
}

// TestADocumentBesideAnotherOwesItsReview: under another id it takes the place of the one in
// effect as well.
func TestADocumentBesideAnotherOwesItsReview(t *testing.T) {
	r := newRig(t)
	first := r.force(t, "dave", version(t, "1.1", friends))
	owed := r.beside(t, "PROC-NEW")
	if owed.GetJudgedBy() != first.GetJudgedBy() || owed.GetGroup() != "security" {
		t.Fatalf("owed is %v", owed)
	}
	c := r.config()
	c.ProcedureID = "PROC-NEW"
	r.Server = amend.NewServer(c)
	_, err := r.review(t, "finn", owed)
	refused(t, "whom it put there", err, codes.PermissionDenied, "NOT_REVIEWER")
	if _, err := r.review(t, "alan", owed); err != nil {
		t.Error(err)
	}
}

// TestAnotherIdShedsNoReviewThatBlocks: what was owed under the one before is due under the
// next one when it was, however often that is done.
func TestAnotherIdShedsNoReviewThatBlocks(t *testing.T) {
	r := newRig(t)
	first := r.force(t, "dave", version(t, "1.1", friends))
	r.ahead.Store(int64(time.Second)) // A second one under the same id has times of its own.
	second := r.force(t, "dave", version(t, "1.2", friends))
	if !second.GetDue().AsTime().After(first.GetDue().AsTime()) {
		t.Fatalf("due %v and %v", first.GetDue().AsTime(), second.GetDue().AsTime())
	}
	for i, id := range []string{"PROC-B", "PROC-A", "PROC-C"} {
		r.ahead.Store(int64(time.Duration(i) * time.Second))
		if owed := r.beside(t, id); !owed.GetDue().AsTime().Equal(first.GetDue().AsTime()) || !owed.GetBlocksFrom().AsTime().Equal(first.GetBlocksFrom().AsTime()) {
			t.Errorf("%s: due %s, blocks from %s", id, owed.GetDue().AsTime(), owed.GetBlocksFrom().AsTime())
		}
	}
}

// TestAProcedureThatNoReleaseRanUnderDoesNotSayWhoReviews: it is that under which releases
// run, whatever its id is, and however old the other one is.
func TestAProcedureThatNoReleaseRanUnderDoesNotSayWhoReviews(t *testing.T) {
	r := newRig(t)
	trial := r.beside(t, "A-TRIAL")
	c := r.config()
	c.ProcedureID = "A-TRIAL"
	if _, err := amend.NewServer(c).ReviewDocument(as(t, "alan"), &approvalv1.ReviewDocumentRequest{
		Number: 1, Digest: trial.GetDigest(), Result: releasev1.ProcedureReviewed_RESULT_JUSTIFIED, Reason: "a trial",
	}); err != nil {
		t.Fatal(err)
	}
	r.Request(t)
	if owed := r.beside(t, "PROC-NEW"); owed.GetJudgedBy() != r.Digest || owed.GetGroup() != "security" {
		t.Errorf("owed is %v, and releases run under %s", owed, r.Digest)
	}
}

// TestOfTwoReviewsAtOnceOneCounts, and a forced document at the same moment keeps its debt.
func TestOfTwoReviewsAtOnceOneCounts(t *testing.T) {
	r := newRig(t)
	d := r.force(t, "dave", version(t, "1.1"))
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i, who := range []string{"ben", "cleo"} {
		all.Go(func() { _, errs[i] = r.reviewAs(as(t, who), d) })
	}
	var second *releasev1.ProcedureDebt
	all.Go(func() { second = r.force(t, "dave", version(t, "1.2")) })
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("of two reviews: %v", errs)
	}
	for _, err := range errs {
		if err != nil {
			refused(t, "the other one", err, codes.NotFound, "NO_REVIEW_OWED")
		}
	}
	if s := r.inEffect(t).Document.Standing; len(s.GetDebts()) != 1 || s.GetDebts()[0].GetNumber() != second.GetNumber() {
		t.Errorf("owed is %v", s.GetDebts())
	}
}

// TestWhoIsTakenOutOfTheProvidersGroupReviewsNothing: by the document before, the identity
// provider has a say in who is in the group.
func TestWhoIsTakenOutOfTheProvidersGroupReviewsNothing(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, g := range d.GetGroups() {
			g.ProviderGroup = "idp-" + g.GetName()
		}
	})
	d := r.force(t, "dave", version(t, "1.1"))
	loggedIn := func(groups ...string) context.Context {
		return identity.NewContext(t.Context(), identity.Caller{Names: []string{"cleo"}, Method: identity.MethodOIDC, Provided: true, Groups: groups})
	}
	_, err := r.reviewAs(loggedIn("idp-others"), d)
	refused(t, "taken out", err, codes.PermissionDenied, "NOT_REVIEWER")
	if _, err := r.reviewAs(loggedIn("idp-security"), d); err != nil {
		t.Error(err)
	}
}

// TestWhatBlocksSaysWhatToDo names the document, who forced it and the command.
func TestWhatBlocksSaysWhatToDo(t *testing.T) {
	r := newRig(t)
	d := r.force(t, "dave", version(t, "1.1"))
	for at, blocks := range map[time.Time]bool{
		d.GetDue().AsTime(): false, d.GetBlocksFrom().AsTime().Add(-1): false, d.GetBlocksFrom().AsTime(): true,
	} {
		got := r.inEffect(t).Unreviewed(at)
		if len(got) > 0 != blocks {
			t.Errorf("at %s: %v", at, got)
		}
		for _, h := range got {
			for _, say := range []string{"document 1.1", "by dave (unchecked)", "a member of security", "shipwarden procedure review 1"} {
				if !strings.Contains(h.GetMessage(), say) {
					t.Errorf("%q does not say %q", h.GetMessage(), say)
				}
			}
		}
	}
	nobody := standing.Procedure{Document: procedure.NewDocument("x")}
	if got := nobody.Unreviewed(time.Now()); len(got) != 0 {
		t.Error(got)
	}
}
