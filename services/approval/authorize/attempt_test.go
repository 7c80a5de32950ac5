package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// attempts are the refused decisions on record.
func (r *rig) attempts(t *testing.T) []*releasev1.RequestRefused {
	t.Helper()
	var out []*releasev1.RequestRefused
	stream, err := r.JetStream().Stream(t.Context(), "REL")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil || !strings.HasPrefix(m.Subject, "req.") {
			continue
		}
		e := &releasev1.Event{}
		if err := proto.Unmarshal(m.Data, e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e.GetRequestRefused())
	}
	return out
}

// TestNobodyIsExempt: whoever is in every group there is, administrators too, approves no
// change of their own, nor reviews it, and that they tried is on record (N-03).
func TestNobodyIsExempt(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, g := range d.GetGroups() {
			for _, p := range []string{"otto", "rita", "ada", "alan"} {
				if !slices.Contains(g.GetMembers(), p) {
					g.Members = append(g.Members, p)
				}
			}
		}
	})
	desk := r.dial(t)
	s := r.pending(t)
	for who, id := range map[string]string{"otto": "otto", "rr": "rita", "ada": "ada", "alan": "alan", "ci-bot": "ci-bot"} {
		reason := "OWN_CHANGE"
		if who == "ci-bot" {
			reason = "MACHINE"
		}
		before := len(r.attempts(t))
		for range 3 {
			_, err := desk.Approve(as(t, who), approve(s))
			want(t, who, err, codes.PermissionDenied, reason)
		}
		all := r.attempts(t)
		if len(all) != before+1 {
			t.Fatalf("%s: %d attempts are on record, %d before", who, len(all), before)
		}
		got := all[before]
		d, v := got.GetDecision(), got.GetAnswer().GetViolations()[0]
		if d.GetRelease() != s.Release || d.GetPerson() != id || d.GetAction() != "Approve" || d.GetMethod() != "token" ||
			d.GetChangeDigest() != s.ChangeDigest || v.GetRule() != reason || got.GetAnswer().GetRelease() != s.Release {
			t.Errorf("%s: on record is %v", who, got)
		}
	}
	// The release has seen nothing of it, and strangers and questions leave no trace.
	before := len(r.attempts(t))
	_, err := desk.Approve(as(t, "mallory"), approve(s))
	want(t, "a stranger", err, codes.PermissionDenied, "UNKNOWN_PERSON")
	if _, err := desk.GetPending(as(t, "otto"), &approvalv1.GetPendingRequest{Release: s.Release}); err != nil {
		t.Error(err)
	}
	none := approve(s)
	none.Release = "shop-aaaaaaaaaaaaaaaa"
	if _, err := desk.Approve(as(t, "ci-bot"), none); err == nil {
		t.Error("a machine approved what does not exist")
	}
	if n := len(r.attempts(t)); n != before || r.State(t, s.Release).Head != s.Head {
		t.Errorf("%d attempts more", n-before)
	}
	// An emergency: the owner authorizes it, and does not review it.
	release := r.Reach(t, procedure.PhaseApprove, key("emergency"), proceduretest.Emergency)
	r.Do(t, release, "otto", proceduretest.Approval(r.State(t, release), time.Now().Add(time.Hour)))
	r.To(t, release, procedure.PhaseFollowUp)
	_, err = desk.CompleteReview(as(t, "otto"), &approvalv1.CompleteReviewRequest{
		Release: release, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED, ResidualRisk: "none",
	})
	want(t, "the owner's review", err, codes.PermissionDenied, "NOT_ALLOWED")
	if all := r.attempts(t); len(all) != before+1 || all[before].GetDecision().GetAction() != "CompleteReview" {
		t.Errorf("on record: %v", all[before:])
	}
}

// TestLinkedAccountsAreOnePerson, also where the document under which the release began
// did not know it: Dan turns out to be Rita, who asked, and Cleo to be Anna, who approved.
func TestLinkedAccountsAreOnePerson(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t)
	if _, err := desk.Approve(as(t, "anna"), approve(s)); err != nil {
		t.Fatal(err)
	}
	s = r.State(t, s.Release)
	r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Version = "1.1"
		for i := range d.People {
			switch d.GetPeople()[i].GetId() {
			case "rita":
				d.People[i].Aliases = append(d.People[i].GetAliases(), "dan")
			case "anna":
				d.People[i].Aliases = append(d.People[i].GetAliases(), "cleo")
			}
		}
		d.People = append(d.GetPeople()[:2:2], d.GetPeople()[4:]...)
		d.Groups[0].Members = []string{"anna", "rita", "otto"}
		d.Groups[1].Members = []string{"ben", "ada", "alan"}
	}))
	for _, who := range []string{"dan", "cleo"} {
		_, err := desk.Approve(as(t, who), approve(s))
		if got := s.Approvals; err == nil || len(r.State(t, s.Release).Approvals) != len(got) {
			t.Errorf("%s approves as two people: %v", who, err)
		}
	}
}
