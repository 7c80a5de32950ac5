package amend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

// rig is a procedure whose changes two of security approve; developers propose.
type rig struct {
	*approvaltest.Rig
	*amend.Server
	ahead atomic.Int64
}

func governed(d *policyv1.Procedure) {
	d.ChangeControl = &policyv1.ChangeControl{
		ProposerGroups: []string{"developers", "security"}, Approvals: &policyv1.Approvals{Group: "security", Count: 2},
		ApprovalValid: durationpb.New(24 * time.Hour), ProposalValid: durationpb.New(72 * time.Hour),
	}
}

func newRig(t *testing.T, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	r := &rig{Rig: approvaltest.New(t, approvaltest.Document(append([]func(*policyv1.Procedure){governed}, changes...)...))}
	r.Server = amend.NewServer(r.config())
	return r
}

func (r *rig) config() amend.Config {
	return amend.Config{
		Store: r.Store, Evidence: r.Evidence, Procedures: r.Procedures, ProcedureID: approvaltest.ProcedureID,
		Channels: []string{"ops"}, Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) },
	}
}

func as(t *testing.T, names ...string) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), identity.Caller{Names: names, Method: "token"})
}

// version is the rig's document under another version, changed.
func version(t *testing.T, v string, changes ...func(*policyv1.Procedure)) []byte {
	t.Helper()
	d := approvaltest.Document(append([]func(*policyv1.Procedure){governed, func(d *policyv1.Procedure) { d.Version = v }}, changes...)...)
	data, err := protojson.MarshalOptions{Multiline: true}.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (r *rig) propose(t *testing.T, who string, document []byte) *releasev1.ProcedureProposal {
	t.Helper()
	answer, err := r.Propose(as(t, who), &approvalv1.ProposeRequest{Document: document, Reason: "because"})
	if err != nil {
		t.Fatalf("propose as %s: %v", who, err)
	}
	return answer.GetProposal()
}

func (r *rig) approve(t *testing.T, who string, p *releasev1.ProcedureProposal) (uint32, error) {
	t.Helper()
	answer, err := r.ApproveProposal(as(t, who), &approvalv1.ApproveProposalRequest{Number: p.GetNumber(), Digest: p.GetDigest()})
	return answer.GetMissing(), err
}

func (r *rig) activate(t *testing.T, who string, p *releasev1.ProcedureProposal) (*approvalv1.ActivateProposalResponse, error) {
	t.Helper()
	return r.ActivateProposal(as(t, who), &approvalv1.ActivateProposalRequest{Number: p.GetNumber(), Digest: p.GetDigest()})
}

func (r *rig) inEffect(t *testing.T) standing.Procedure {
	t.Helper()
	active, err := standing.ReadProcedure(t.Context(), r.Store, approvaltest.ProcedureID)
	if err != nil {
		t.Fatal(err)
	}
	return active
}

// reason is the reason in an error's details.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func refused(t *testing.T, what string, err error, code codes.Code, why string) {
	t.Helper()
	if status.Code(err) != code || reason(err) != why {
		t.Errorf("%s: %v (%s), want %s %s", what, err, reason(err), code, why)
	}
}

func TestADocumentIsProposedApprovedAndActivated(t *testing.T) {
	r := newRig(t)
	release := r.Request(t)
	before := r.Digest
	document := version(t, "1.1", func(d *policyv1.Procedure) { d.Gates, d.Keys[0].Gates = nil, nil })
	p := r.propose(t, "otto", document)
	if p.GetProposer() != "otto" || p.GetBaseDigest() != before || p.GetQuorum().GetCount() != 2 || p.GetDigest() != policy.Digest(document) {
		t.Errorf("proposed is %v", p)
	}
	_, err := r.activate(t, "otto", p)
	refused(t, "unapproved", err, codes.FailedPrecondition, "APPROVALS_MISSING")
	_, err = r.approve(t, "otto", p)
	refused(t, "one's own", err, codes.PermissionDenied, "OWN_PROPOSAL")
	_, err = r.approve(t, "anna", p)
	refused(t, "not of the group", err, codes.PermissionDenied, "NOT_APPROVER")
	_, err = r.approve(t, "ci-bot", p)
	refused(t, "a machine", err, codes.PermissionDenied, "MACHINE")
	_, err = r.approve(t, "hugo", p)
	refused(t, "who has left", err, codes.PermissionDenied, "INACTIVE_PERSON")
	_, err = r.approve(t, "mallory", p)
	refused(t, "a stranger", err, codes.PermissionDenied, "UNKNOWN_PERSON")
	_, err = r.ApproveProposal(as(t, "ben"), &approvalv1.ApproveProposalRequest{Number: 1, Digest: before})
	refused(t, "another document", err, codes.Aborted, "OTHER_DOCUMENT_PROPOSED")
	if missing, err := r.approve(t, "ben", p); err != nil || missing != 1 {
		t.Fatalf("%d missing after one of two: %v", missing, err)
	}
	_, err = r.approve(t, "ben", p)
	refused(t, "twice", err, codes.AlreadyExists, "APPROVED_ALREADY")
	if missing, err := r.approve(t, "cleo", p); err != nil || missing != 0 {
		t.Fatalf("%d missing after two of two: %v", missing, err)
	}
	shown, err := r.GetProposal(as(t, "alan"), &approvalv1.GetProposalRequest{Number: 1})
	if err != nil || !shown.GetMayApprove() || shown.GetMissing() != 0 || !strings.Contains(shown.GetAssessment().GetDiff(), "PASSED") {
		t.Errorf("alan is shown %v: %v", shown, err)
	}
	if want := []string{"the gate tests is gone"}; !slices.Equal(shown.GetAssessment().GetLoosened(), want) {
		t.Errorf("it demands less of %v, want %v", shown.GetAssessment().GetLoosened(), want)
	}
	_, err = r.activate(t, "anna", p)
	refused(t, "activated by somebody else", err, codes.PermissionDenied, "NOT_APPROVER")
	if answer, err := r.activate(t, "otto", p); err != nil || answer.GetVersion() != "1.1" {
		t.Fatalf("activated %v: %v", answer, err)
	}
	// The answer was lost, and the call comes again.
	if answer, err := r.activate(t, "otto", p); err != nil || answer.GetVersion() != "1.1" {
		t.Errorf("activated again %v: %v", answer, err)
	}
	active := r.inEffect(t)
	if active.Digest != p.GetDigest() || len(active.Document.Standing.GetProposals()) != 0 {
		t.Errorf("in effect is %v", active.Document.Standing)
	}
	for _, digest := range []string{p.GetDigest(), p.GetAssessmentDigest()} {
		if _, err := r.Evidence.Get(t.Context(), digest); err != nil {
			t.Errorf("%s is not kept: %v", digest, err)
		}
	}
	// The release that began before still has the gate that is gone (N-20).
	if s := r.State(t, release); s.ProcedureDigest != before {
		t.Errorf("the release runs under %s now", s.ProcedureDigest)
	}
	s := r.State(t, release)
	index, err := r.Procedures.ByDigest(t.Context(), s.ProcedureDigest)
	if err != nil || len(index.GatesFor(s.Request)) != 1 {
		t.Errorf("its gates are lost: %v", err)
	}
}

// N-20: what was approved under a document is carried to its end under it, by the people
// that it names, also when another one took effect in between.
func TestAReleaseUnderWayFinishesUnderItsDocument(t *testing.T) {
	r := newRig(t)
	release := r.Request(t)
	before := r.Digest
	p := r.propose(t, "otto", version(t, "1.1", func(d *policyv1.Procedure) {
		d.Environments[0].Approvals = []*policyv1.Approvals{{Group: "operators", Count: 1}}
		d.Deadlines.ApprovalValid = durationpb.New(time.Minute)
	}))
	for _, who := range []string{"ben", "cleo"} {
		if _, err := r.approve(t, who, p); err != nil {
			t.Fatal(err)
		}
	}
	state := r.To(t, release, procedure.PhaseApprove)
	if _, err := r.activate(t, "ben", p); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"anna", "ben"} {
		r.Do(t, release, who, proceduretest.Approval(state, time.Now().Add(12*time.Hour)))
	}
	state, err := r.Act(t, authorize.New(r.Procedures), release, time.Now())
	if err != nil || state.Phase <= procedure.PhaseApprove || state.ProcedureDigest != before {
		t.Errorf("it is in phase %s under %s: %v", state.Phase, state.ProcedureDigest, err)
	}
	if got := time.Until(state.Authorized.GetValidUntil().AsTime()); got < time.Hour {
		t.Errorf("its authorization counts for %s, by the other document", got)
	}
}

func TestAProposalIsVoidWhenAnotherTookEffect(t *testing.T) {
	r := newRig(t)
	first, second := r.propose(t, "otto", version(t, "1.1")), r.propose(t, "ada", version(t, "1.2"))
	for _, p := range []*releasev1.ProcedureProposal{first, second} {
		for _, who := range []string{"ben", "cleo"} {
			if _, err := r.approve(t, who, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Both are activated at the same moment: one takes effect, and the other is told.
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, p := range []*releasev1.ProcedureProposal{first, second} {
		both.Go(func() { _, errs[i] = r.activate(t, "cleo", p) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("of two activations: %v, %v", errs[0], errs[1])
	}
	lost := second
	if errs[1] == nil {
		lost = first
	}
	_, err := r.activate(t, "cleo", lost)
	refused(t, "the void one", err, codes.NotFound, "NO_PROPOSAL")
	_, err = r.approve(t, "alan", lost)
	refused(t, "approving the void one", err, codes.NotFound, "NO_PROPOSAL")
	// One that was made from the document of before is told, where it says so.
	_, err = r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "1.3"), Reason: "because", BaseDigest: r.Digest})
	refused(t, "made from another one", err, codes.Aborted, "OTHER_DOCUMENT_IN_EFFECT")
	if active := r.inEffect(t); active.Document.Standing.GetProposed() != 2 {
		t.Errorf("it stands at %v", active.Document.Standing)
	}
}

func TestApprovalsAndProposalsExpire(t *testing.T) {
	r := newRig(t)
	p := r.propose(t, "otto", version(t, "1.1"))
	if _, err := r.approve(t, "ben", p); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after   time.Duration
		missing uint32
		expired bool
	}{{23 * time.Hour, 1, false}, {25 * time.Hour, 2, false}, {73 * time.Hour, 2, true}} {
		r.ahead.Store(int64(test.after))
		shown, err := r.GetProposal(as(t, "cleo"), &approvalv1.GetProposalRequest{Number: 1})
		if err != nil || shown.GetMissing() != test.missing || shown.GetExpired() != test.expired || shown.GetMayApprove() == test.expired {
			t.Errorf("after %s it is shown %v: %v", test.after, shown, err)
		}
	}
	_, err := r.approve(t, "cleo", p)
	refused(t, "after its time", err, codes.FailedPrecondition, "PROPOSAL_EXPIRED")
}

func TestWhoseOwnRightsItWidensIsSaid(t *testing.T) {
	r := newRig(t)
	p := r.propose(t, "ada", version(t, "1.1", func(d *policyv1.Procedure) {
		d.Groups[0].Members = append(d.Groups[0].Members, "ada", "ben") // release-managers
	}))
	if want := []string{"ada", "ben"}; !slices.Equal(p.GetWidened(), want) {
		t.Errorf("it widens the rights of %v, want %v", p.GetWidened(), want)
	}
	for _, who := range []string{"ben", "cleo"} {
		if _, err := r.approve(t, who, p); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := r.GetProposal(as(t, "cleo"), &approvalv1.GetProposalRequest{Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range shown.GetProposal().GetApprovals() {
		if a.GetOwnRights() != (a.GetPerson() == "ben") {
			t.Errorf("of %s it says %t", a.GetPerson(), a.GetOwnRights())
		}
	}
	rights := shown.GetAssessment().GetWidened()[0].GetRights()
	if !slices.Contains(rights, "approve releases to production for release-managers") {
		t.Errorf("ada may %v now", rights)
	}
}

// TestWhoIsOnCallForAGroupThatGainsARightApprovesTheirOwn, and it is said that they have it
// while they are.
func TestWhoIsOnCallForAGroupThatGainsARightApprovesTheirOwn(t *testing.T) {
	rota := func(d *policyv1.Procedure) {
		i := slices.IndexFunc(d.GetGroups(), func(g *policyv1.Group) bool { return g.GetName() == "operators" })
		d.Groups[i].OnCall = &policyv1.OnCall{Rotas: []*policyv1.Rota{{
			Name: "weekly", People: []string{"ben", "finn"}, Begin: "2026-01-05T09:00", Shift: durationpb.New(168 * time.Hour), TimeZone: "UTC",
		}}}
	}
	r := newRig(t, rota)
	p := r.propose(t, "otto", version(t, "1.1", rota, func(d *policyv1.Procedure) {
		d.Environments[1].Approvals = append(d.Environments[1].Approvals, &policyv1.Approvals{Group: "operators", Count: 1})
	}))
	if want := []string{"ben", "finn", "gina"}; !slices.Equal(p.GetWidened(), want) {
		t.Errorf("it widens the rights of %v, want %v", p.GetWidened(), want)
	}
	for _, who := range []string{"ben", "cleo"} {
		if _, err := r.approve(t, who, p); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := r.GetProposal(as(t, "cleo"), &approvalv1.GetProposalRequest{Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range shown.GetProposal().GetApprovals() {
		if a.GetOwnRights() != (a.GetPerson() == "ben") {
			t.Errorf("of %s it says %t", a.GetPerson(), a.GetOwnRights())
		}
	}
	for i, want := range map[int]string{0: "approve releases to staging for operators while on call for operators", 2: "approve releases to staging for operators"} {
		if got := shown.GetAssessment().GetWidened()[i]; !slices.Equal(got.GetRights(), []string{want}) {
			t.Errorf("%s may %q now, want %q", got.GetPerson(), got.GetRights(), want)
		}
	}
}

func TestAProposalIsTakenBackOrRejected(t *testing.T) {
	r := newRig(t)
	p := r.propose(t, "otto", version(t, "1.1"))
	if _, err := r.approve(t, "ben", p); err != nil {
		t.Fatal(err)
	}
	withdraw := func(who string, number uint32) (*approvalv1.WithdrawProposalResponse, error) {
		return r.WithdrawProposal(as(t, who), &approvalv1.WithdrawProposalRequest{Number: number, Reason: "because"})
	}
	if answer, err := withdraw("ben", 1); err != nil || answer.GetClosed() {
		t.Errorf("ben's approval: %v, %v", answer, err)
	}
	_, err := withdraw("ben", 1)
	refused(t, "twice", err, codes.PermissionDenied, "NOT_APPROVER")
	if answer, err := withdraw("otto", 1); err != nil || !answer.GetClosed() {
		t.Errorf("otto's proposal: %v, %v", answer, err)
	}
	p = r.propose(t, "otto", version(t, "1.1"))
	reject := func(who string) error {
		_, err := r.RejectProposal(as(t, who), &approvalv1.RejectProposalRequest{Number: p.GetNumber(), Reason: "because"})
		return err
	}
	refused(t, "rejected by anybody", reject("anna"), codes.PermissionDenied, "NOT_APPROVER")
	if err := reject("cleo"); err != nil {
		t.Error(err)
	}
	refused(t, "rejected twice", reject("cleo"), codes.NotFound, "NO_PROPOSAL")
}

func TestWhatMayNotBeProposed(t *testing.T) {
	r := newRig(t)
	same, err := r.Evidence.Get(t.Context(), r.Digest)
	if err != nil {
		t.Fatal(err)
	}
	good := func(changes ...func(*policyv1.Procedure)) *approvalv1.ProposeRequest {
		return &approvalv1.ProposeRequest{Document: version(t, "1.1", changes...), Reason: "because"}
	}
	for _, test := range []struct {
		name, who string
		request   *approvalv1.ProposeRequest
		code      codes.Code
		reason    string
		say       string
	}{
		{"no reason", "otto", &approvalv1.ProposeRequest{Document: version(t, "1.1"), Reason: " \u00ad"}, codes.InvalidArgument, "INVALID_FIELD", "reason: "},
		{"no document", "otto", &approvalv1.ProposeRequest{Document: []byte("id: [\n"), Reason: "x", Filename: "p.yaml"}, codes.InvalidArgument, "DOCUMENT_INVALID", "document: p.yaml:"},
		{"a name that leads nowhere", "otto", good(func(d *policyv1.Procedure) { d.OperatorsGroup = "nobody" }), codes.InvalidArgument, "DOCUMENT_INVALID", "operators_group"},
		{"a quorum that nobody can meet", "otto", good(func(d *policyv1.Procedure) { d.Environments[0].Approvals[0].Count = 6 }), codes.InvalidArgument, "DOCUMENT_INVALID", "6 of the group release-managers are needed, and 5 can"},
		{"nobody could change it again", "otto", good(func(d *policyv1.Procedure) { d.ChangeControl = nil }), codes.InvalidArgument, "INVALID_FIELD", "document.change_control"},
		{"too few could approve it again", "otto", good(func(d *policyv1.Procedure) { d.ChangeControl.Approvals.Count = 5 }), codes.InvalidArgument, "DOCUMENT_INVALID", "change_control.approvals.group: 5 of the group security"},
		{"nobody could propose again", "otto", good(func(d *policyv1.Procedure) {
			d.Groups = append(d.Groups, &policyv1.Group{Name: "empty"})
			d.ChangeControl.ProposerGroups = []string{"empty"}
		}), codes.InvalidArgument, "DOCUMENT_INVALID", "change_control.proposer_groups"},
		{"proposers would be needed as approvers", "otto", good(func(d *policyv1.Procedure) {
			d.ChangeControl.ProposerGroups, d.ChangeControl.Approvals.Count = []string{"security"}, 4
		}), codes.InvalidArgument, "DOCUMENT_INVALID", "change_control.approvals.count"},
		{"the document in effect", "otto", &approvalv1.ProposeRequest{Document: same, Reason: "x"}, codes.InvalidArgument, "INVALID_FIELD", "document: is the document in effect"},
		{"another procedure", "otto", good(func(d *policyv1.Procedure) { d.Id = "PROC-OTHER" }), codes.InvalidArgument, "INVALID_FIELD", "document.id"},
		{"the same version", "otto", good(func(d *policyv1.Procedure) { d.Version, d.HighRiskAreas = "1.0", nil }), codes.InvalidArgument, "INVALID_FIELD", "document.version"},
		{"a trusted root that is not there", "otto", good(func(d *policyv1.Procedure) {
			d.Sigstore = &policyv1.Sigstore{TrustedRoot: policy.Digest([]byte("root")), Identities: []*policyv1.Identity{{
				Id: "ci-identity", Issuer: "https://issuer.example", Name: &policyv1.Identity_Subject{Subject: "ci"}, Gates: []string{"tests"},
			}}}
		}), codes.InvalidArgument, "INVALID_FIELD", "trusted_root: is required"},
		{"a trusted root that is not named", "otto", func() *approvalv1.ProposeRequest { r := good(); r.TrustedRoot = []byte("{}"); return r }(), codes.InvalidArgument, "INVALID_FIELD", "trusted_root: is sha256:"},
		{"not of the proposers", "anna", good(), codes.PermissionDenied, "NOT_ALLOWED", "developers, security"},
		{"a machine", "ci-bot", good(), codes.PermissionDenied, "MACHINE", ""},
	} {
		_, err := r.Propose(as(t, test.who), test.request)
		refused(t, test.name, err, test.code, test.reason)
		if !strings.Contains(status.Convert(err).Message(), test.say) {
			t.Errorf("%s: it says %q, not %q", test.name, status.Convert(err).Message(), test.say)
		}
	}
	_, err = r.Propose(t.Context(), good())
	refused(t, "nobody", err, codes.Unauthenticated, "UNAUTHENTICATED")
	// A look stores nothing, and says what is not wrong.
	look := good(func(d *policyv1.Procedure) {
		d.ChangeRecords = []*policyv1.ChangeRecordRule{{Name: "cr", Connector: "jira", System: "jira", IdPattern: "CHG-[0-9]+", States: []string{"open"}}}
	})
	look.DryRun, look.Reason = true, ""
	answer, err := r.Propose(as(t, "otto"), look)
	if err != nil || answer.GetAssessment().GetDiff() == "" || answer.GetProposal().GetNumber() != 0 {
		t.Errorf("looked at it: %v, %v", answer, err)
	}
	if w := answer.GetWarnings(); len(w) != 2 || !strings.HasPrefix(w[0], "channel chat: ") || !strings.HasPrefix(w[1], "change record cr: no connector jira") {
		t.Errorf("warnings are %q", w)
	}
	if got := r.inEffect(t).Document.Standing; got.GetProposed() != 0 {
		t.Errorf("something was proposed: %v", got)
	}
}

// Whom the identity provider took out of a group proposes nothing by it (PD-A.4).
func TestWhoProposesIsInTheProvidersGroup(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, g := range d.GetGroups() {
			g.ProviderGroup = "idp-" + g.GetName()
		}
	})
	loggedIn := func(groups ...string) context.Context {
		return identity.NewContext(t.Context(), identity.Caller{Names: []string{"otto"}, Method: identity.MethodOIDC, Provided: true, Groups: groups})
	}
	call := &approvalv1.ProposeRequest{Document: version(t, "1.1"), Reason: "because"}
	_, err := r.Propose(loggedIn("idp-others"), call)
	refused(t, "taken out", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := r.Propose(loggedIn("idp-developers"), call); err != nil {
		t.Error(err)
	}
}

func TestWithoutChangeControlOnlyAnAdministratorChangesIt(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) { d.ChangeControl = nil })
	_, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "1.1"), Reason: "because"})
	refused(t, "proposed", err, codes.FailedPrecondition, "NO_CHANGE_CONTROL")
	document := version(t, "1.1")
	doc, err := policy.Parse(document, "document")
	if err != nil {
		t.Fatal(err)
	}
	d := amend.Document{Procedure: doc, Bytes: document}
	if _, _, err := amend.Activate(t.Context(), r.config(), d, amend.Administrative{Reason: "because"}); !errors.Is(err, amend.ErrInEffect) {
		t.Errorf("without an override: %v", err)
	}
	how := amend.Administrative{Reason: "there was no change control", ClaimedBy: "root", Override: true}
	if active, changed, err := amend.Activate(t.Context(), r.config(), d, how); err != nil || !changed || active.Version != "1.1" {
		t.Fatalf("with one: %v, %t, %v", active, changed, err)
	}
	if _, changed, err := amend.Activate(t.Context(), r.config(), d, how); err != nil || changed {
		t.Errorf("again: %t, %v", changed, err)
	}
	e, _, err := r.Store.Last(t.Context(), procedure.ProcedureAggregate(approvaltest.ProcedureID))
	if err != nil {
		t.Fatal(err)
	}
	a := e.Event.GetProcedureActivated()
	if a.GetAdministrative() != releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE || a.GetClaimedBy() != "root" || a.GetAssessmentDigest() == "" {
		t.Errorf("on record is %v", a)
	}
	// From here on people can.
	r.propose(t, "otto", version(t, "1.2"))
}

func TestTheFirstDocumentIsAnAdministrators(t *testing.T) {
	r := newRig(t)
	document := version(t, "1.0", func(d *policyv1.Procedure) { d.Id = "PROC-NEW" })
	doc, err := policy.Parse(document, "document")
	if err != nil {
		t.Fatal(err)
	}
	c := r.config()
	c.ProcedureID = "PROC-NEW"
	_, err = amend.NewServer(c).GetProcedure(as(t, "otto"), &approvalv1.GetProcedureRequest{})
	refused(t, "before", err, codes.FailedPrecondition, "NO_DOCUMENT")
	// Several processes begin at once, each with the same document.
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			how := amend.Administrative{Reason: "go-live", ClaimedBy: "root", Override: true} // The rig has one of another id.
			if _, _, err := amend.Activate(t.Context(), c, amend.Document{Procedure: doc, Bytes: document}, how); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := amend.NewServer(c).GetProcedure(as(t, "otto"), &approvalv1.GetProcedureRequest{})
	if err != nil || got.GetStanding().GetVersion() != "1.0" || got.GetProcedure() != "PROC-NEW" {
		t.Errorf("in effect is %v: %v", got, err)
	}
}

// broken is a bus that says something of its own.
type broken struct {
	*eventstore.Store
	err error
}

func (b broken) Append(context.Context, ...eventstore.Draft) ([]eventstore.Stored, error) {
	return nil, fmt.Errorf("nats: no responders on $JS.API at 10.0.0.7: %w", b.err)
}

func TestTheBusesOwnWordsAreNotTold(t *testing.T) {
	r := newRig(t)
	for err, want := range map[error]codes.Code{
		eventstore.ErrUnavailable: codes.Unavailable, eventstore.ErrUndecided: codes.Unavailable, eventstore.ErrRefused: codes.ResourceExhausted,
		context.DeadlineExceeded: codes.DeadlineExceeded, errors.New("disk"): codes.Internal,
	} {
		c := r.config()
		c.Store = broken{r.Store, err}
		_, got := amend.NewServer(c).Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "1.1"), Reason: "because"})
		if status.Code(got) != want || strings.Contains(got.Error(), "10.0.0.7") {
			t.Errorf("%v is told as %v", err, got)
		}
	}
}

// The largest history that there can be still fits into one event.
func TestTheMostProposalsFit(t *testing.T) {
	names := func(n int) []string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%s%02d", strings.Repeat("x", 62), i))
		}
		return all
	}
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, id := range names(17) {
			d.People = append(d.People, &policyv1.Person{Id: id, Name: id})
			d.Groups[1].Members = append(d.Groups[1].Members, id)
		}
		d.ChangeControl.Approvals.Count, d.ChangeControl.CompareLast = 16, 1000
	})
	many := func(d *policyv1.Procedure) {
		for _, id := range names(32) {
			d.People = append(d.People, &policyv1.Person{Id: id, Name: id, Aliases: []string{"a" + id}})
		}
	}
	for i := range procedure.MaxProposals {
		document := version(t, fmt.Sprintf("%s%d", strings.Repeat("9", 63), i), many)
		answer, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: document, Reason: strings.Repeat("r", 1024)})
		if err != nil {
			t.Fatalf("proposal %d: %v", i+1, err)
		}
		for _, id := range names(16) {
			if _, err := r.approve(t, id, answer.GetProposal()); err != nil {
				t.Fatalf("proposal %d, %s: %v", i+1, id, err)
			}
		}
	}
	_, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "2.0"), Reason: "x"})
	refused(t, "one more", err, codes.ResourceExhausted, "TOO_MANY_PROPOSALS")
	if _, err := r.activate(t, "otto", r.inEffect(t).Document.Proposal(3)); err != nil {
		t.Error(err)
	}
}
