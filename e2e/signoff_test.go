package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAPersonAndAProgramHaveTheirSay: a program that the validator's operator lists looks at the
// books, and somebody of security at the page. What that person fails goes back, and they are asked
// about the way back as well.
func TestAPersonAndAProgramHaveTheirSay(t *testing.T) {
	t.Parallel()
	books := filepath.Join(t.TempDir(), "books")
	if err := os.WriteFile(books, []byte("balanced\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	grep, err := exec.LookPath("grep")
	if err != nil {
		t.Fatal(err)
	}
	y := open(t, plan{config: func(_ *shop.World, c *rig.Config) error {
		c.CheckCommands = []*configv1.CheckCommand{{
			Name: "books", FailStatus: 1, Arguments: []*configv1.CheckArgument{{Name: "word", Values: []string{"balanced", "closed"}}},
			Run: &configv1.Command{Argv: []string{grep, "--quiet", "--line-regexp", "{param.word}", books}},
		}}
		return nil
	}})
	page := &releasev1.Check{Name: "page", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Does the page look as it should?", Groups: []string{"security"},
	}}}
	asks := func(r *releasev1.Request) {
		r.Plan.Waves = []*releasev1.Wave{{Targets: y.world.Targets}}
		r.Validation.Bake = durationpb.New(12 * time.Second)
		r.Validation.Checks = append(r.Validation.Checks,
			&releasev1.Check{Name: "books", Probe: &releasev1.Check_Command{Command: &releasev1.CommandProbe{
				Command: "books", Arguments: map[string]string{"word": "balanced"},
			}}},
			page,
		)
		r.RollbackPlan.Checks = []*releasev1.Check{page}
	}
	first := y.submit(y.build("1.0.0", 0), "first", asks)
	y.approve(first, "carol", "dave")
	wanted := y.asked("frank", first)
	if wanted.GetQuestion() != "Does the page look as it should?" || wanted.GetRollback() {
		t.Errorf("asked %v", wanted)
	}
	_, err = y.as("carol").SignOff(y.Context(), &approvalv1.SignOffRequest{Release: first, Check: "page", Passed: true, Comment: "mine"})
	y.refused(err, codes.PermissionDenied, "security")
	y.answers("frank", wanted, true, "every picture is there")
	y.finish(first, releasev1.Outcome_OUTCOME_SUCCEEDED)
	y.changed(1, 1)

	second := y.submit(y.build("1.1.0", 0), "second", asks)
	y.approve(second, "carol", "dave")
	y.answers("frank", y.asked("frank", second), false, "the logo is upside down")
	back := y.asked("frank", second)
	if !back.GetRollback() {
		t.Errorf("asked about the way back: %v", back)
	}
	y.answers("frank", back, true, "as it was")
	r := y.finish(second, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	y.says(r, "page")
	y.changed(3, 3)
	record := y.record(second)
	for _, part := range []string{"the logo is upside down", "as it was", "frank", "books"} {
		if !strings.Contains(record, part) {
			t.Errorf("the record does not hold %q", part)
		}
	}
}

// asked waits until somebody finds a check of a release in their list that they may sign off.
func (y *yard) asked(person, release string) *approvalv1.WantedSignOff {
	y.Helper()
	var found *approvalv1.WantedSignOff
	y.eventually(fmt.Sprintf("%s is asked about %s", person, release), func() bool {
		list, err := y.as(person).ListPending(y.Context(), &approvalv1.ListPendingRequest{Mine: true})
		if err != nil {
			y.Fatal(err)
		}
		for _, o := range list.GetSignOffs() {
			if o.GetRelease() == release && o.GetMaySignOff() {
				found = o
			}
		}
		return found != nil
	})
	return found
}

// answers signs off what somebody was asked, or fails it.
func (y *yard) answers(person string, wanted *approvalv1.WantedSignOff, passed bool, comment string) {
	y.Helper()
	if _, err := y.as(person).SignOff(y.Context(), &approvalv1.SignOffRequest{
		Release: wanted.GetRelease(), Check: wanted.GetCheck(), Number: wanted.GetNumber(), Passed: passed, Comment: comment,
	}); err != nil {
		y.Fatalf("%s answers %s: %v", person, wanted.GetCheck(), err)
	}
}
