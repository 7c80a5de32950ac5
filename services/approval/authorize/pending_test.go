package authorize_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

func TestGetPendingShowsWhatIsDecidedOnAndWhetherTheCallerMay(t *testing.T) {
	r := newRig(t, func(p *policyv1.Procedure) {
		p.Services[0].Checks = []*releasev1.Check{{Name: "port", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}}
	})
	s, desk := r.pending(t), r.dial(t)
	call := &approvalv1.GetPendingRequest{Release: s.Release}
	for person, why := range map[string]string{
		"anna": "", "rita": "rita is the requester", "alan": "an author, by the evidence of gate code-review", "finn": "in no group",
	} {
		got, err := desk.GetPending(as(t, person), call)
		if err != nil {
			t.Fatal(person, err)
		}
		p := got.GetPending()
		if p.GetMayApprove() != (why == "") || !strings.Contains(p.GetMayNotReason(), why) {
			t.Errorf("%s: %v, %q", person, p.GetMayApprove(), p.GetMayNotReason())
		}
		if c := p.GetChecks(); len(c) != 2 || c[0].GetName() != "port" || c[1].GetName() != "health" {
			t.Errorf("%s is not shown the checks of the catalogue, and those of the request: %v", person, c)
		}
		if p.GetChangeDigest() != s.ChangeDigest || len(p.GetPreviews()) != 1 || len(p.GetGates()) != 3 || len(p.GetMissing()) != 2 ||
			!strings.HasPrefix(p.GetShownDigest(), "sha256:") {
			t.Errorf("%s is shown %v", person, p)
		}
	}
	before, _ := desk.GetPending(as(t, "anna"), call)
	other, _ := desk.GetPending(as(t, "rita"), call)
	if before.GetPending().GetShownDigest() != other.GetPending().GetShownDigest() {
		t.Error("the digest of what is shown depends on who looks")
	}
	if _, err := desk.Approve(as(t, "anna"), seen(before.GetPending())); err != nil {
		t.Fatal(err)
	}
	after, err := desk.GetPending(as(t, "anna"), call)
	if err != nil || len(after.GetPending().GetApprovals()) != 1 || after.GetPending().GetShownDigest() == before.GetPending().GetShownDigest() ||
		!strings.Contains(after.GetPending().GetMayNotReason(), "approved already") {
		t.Errorf("after an approval: %v, %v", after, err)
	}
	early := r.Request(t, key("early"))
	_, err = desk.GetPending(as(t, "anna"), &approvalv1.GetPendingRequest{Release: early})
	want(t, "one that does not wait", err, codes.FailedPrecondition, "OTHER_STATE")
}

func TestPagesStayWhatTheyAre(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	var made []string
	for i := range 5 {
		made = append(made, r.pending(t, key(fmt.Sprintf("p%d", i))).Release)
	}
	r.waiting.ids = append([]string{"shop-nothing", r.Request(t, key("early"))}, r.waiting.ids...)
	ctx := as(t, "anna")
	first, err := desk.ListPending(ctx, &approvalv1.ListPendingRequest{PageSize: 2})
	if err != nil || len(first.GetPending()) != 2 || first.GetNextPageToken() == "" {
		t.Fatalf("first page: %v, %v", first, err)
	}
	// One of the first page goes, and a new one comes: the second page is the same.
	r.Do(t, made[0], "", &releasev1.Event{Data: &releasev1.Event_Superseded{Superseded: &releasev1.Superseded{ByRelease: made[4]}}})
	made = append(made, r.pending(t, key("p5")).Release)
	got := []string{first.GetPending()[0].GetRelease(), first.GetPending()[1].GetRelease()}
	for token := first.GetNextPageToken(); token != ""; {
		page, err := desk.ListPending(ctx, &approvalv1.ListPendingRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.GetPending() {
			got = append(got, p.GetRelease())
		}
		token = page.GetNextPageToken()
	}
	if strings.Join(got, " ") != strings.Join(made, " ") {
		t.Errorf("pages hold %v, want %v", got, made)
	}
	for name, other := range map[string]*approvalv1.ListPendingRequest{
		"of one service": {Service: "shop"}, "of the caller": {Mine: true},
	} {
		other.PageToken = first.GetNextPageToken()
		_, err := desk.ListPending(ctx, other)
		want(t, "82 a token of all for the list "+name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
}

func TestPagesEndBeforeAnAnswerIsTooLarge(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	long := strings.Repeat("x", 1000)
	for i := range 40 {
		r.pending(t, key(fmt.Sprintf("p%d", i)), func(q *releasev1.Request) {
			q.Plan.Parameters = map[string]string{}
			for n := range 32 {
				q.Plan.Parameters[fmt.Sprintf("p%d", n)] = long
			}
		})
	}
	seen, token := 0, ""
	for {
		page, err := desk.ListPending(as(t, "anna"), &approvalv1.ListPendingRequest{PageSize: 200, PageToken: token})
		if err != nil {
			t.Fatalf("after %d: %v", seen, err)
		}
		seen += len(page.GetPending())
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if seen != 40 {
		t.Errorf("%d releases on all pages", seen)
	}
}

func TestListsAreOfTheServiceAndOfTheCaller(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	shop := r.pending(t, key("one")).Release
	r.pending(t, key("two"), func(q *releasev1.Request) { q.Service = "billing" })
	for name, c := range map[string]struct {
		person string
		call   *approvalv1.ListPendingRequest
		want   int
	}{
		"all":               {"finn", &approvalv1.ListPendingRequest{}, 2},
		"of the shop":       {"finn", &approvalv1.ListPendingRequest{Service: "shop"}, 1},
		"of Finn, nothing":  {"finn", &approvalv1.ListPendingRequest{Mine: true}, 0},
		"of Anna, both":     {"anna", &approvalv1.ListPendingRequest{Mine: true}, 2},
		"of an SQL service": {"anna", &approvalv1.ListPendingRequest{Service: "' or 1=1--"}, 0},
	} {
		got, err := desk.ListPending(as(t, c.person), c.call)
		if err != nil || len(got.GetPending()) != c.want {
			t.Errorf("%s: %d, %v", name, len(got.GetPending()), err)
		}
	}
	_, err := desk.ListPending(as(t, "mallory"), &approvalv1.ListPendingRequest{})
	want(t, "a stranger", err, codes.PermissionDenied, "UNKNOWN_PERSON")
	// Ilse came with a newer document: the older releases are shown, and not hers to approve.
	r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Version = "2.0"
		d.People = append(d.People, &policyv1.Person{Id: "ilse", Name: "Ilse"})
		d.Groups[0].Members = append(d.Groups[0].Members, "ilse")
	}))
	ilse := r.dial(t, r.ca.issue(t, named("ilse")))
	got, err := ilse.ListPending(t.Context(), &approvalv1.ListPendingRequest{Service: "shop"})
	if err != nil || len(got.GetPending()) != 1 || got.GetPending()[0].GetMayApprove() || got.GetPending()[0].GetRelease() != shop {
		t.Errorf("newcomer: %v, %v", got, err)
	}
}

func TestBadPageTokens(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	encode := base64.RawURLEncoding.EncodeToString
	for name, token := range map[string]string{
		"no base64": "!!!", "no position": encode([]byte("hello")), "a release alone": encode([]byte("shop-a")),
		"a wildcard": encode([]byte("2026-01-01T00:00:00.000000000Z rel.>")),
	} {
		_, err := desk.ListPending(as(t, "anna"), &approvalv1.ListPendingRequest{PageToken: token})
		want(t, name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	for i := range 2 {
		r.pending(t, key(fmt.Sprintf("p%d", i)))
	}
	asked := &approvalv1.ListPendingRequest{PageSize: 1, Service: "shop"}
	first, err := desk.ListPending(as(t, "anna"), asked)
	if err != nil || first.GetNextPageToken() == "" {
		t.Fatalf("first page: %v, %v", first, err)
	}
	for name, call := range map[string]*approvalv1.ListPendingRequest{
		"all services": {}, "another service": {Service: "billing"}, "mine alone": {Mine: true, Service: "shop"},
	} {
		call.PageToken = first.GetNextPageToken()
		_, err := desk.ListPending(as(t, "anna"), call)
		want(t, "a token of another question, "+name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	// How many are wanted at once is no part of the question.
	asked.PageSize, asked.PageToken = 7, first.GetNextPageToken()
	if second, err := desk.ListPending(as(t, "anna"), asked); err != nil || len(second.GetPending()) != 1 {
		t.Errorf("second page: %v, %v", second, err)
	}
	for name, call := range map[string]*approvalv1.ListPendingRequest{
		"negative size": {PageSize: -1}, "a billion": {PageSize: 1e9}, "endless token": {PageToken: strings.Repeat("a", 600)},
	} {
		_, err := desk.ListPending(as(t, "anna"), call)
		want(t, name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
}
