package exit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/refusal"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestEveryErrorHasItsCode(t *testing.T) {
	call := func(c codes.Code) error { return exit.Call("try", status.Error(c, "no")) }
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"no error", nil, exit.OK},
		{"anything else", errors.New("odd"), exit.Failed},
		{"a usage error, wrapped", fmt.Errorf("more: %w", exit.Withf(exit.Usage, "flag")), exit.Usage},
		{"a code goes before a status", exit.With(exit.Failed, call(codes.Unavailable)), exit.Failed},
		{"not valid", call(codes.InvalidArgument), exit.Usage},
		{"not found", call(codes.NotFound), exit.Usage},
		{"denied", call(codes.PermissionDenied), exit.Denied},
		{"caller unknown", call(codes.Unauthenticated), exit.Denied},
		{"another state", call(codes.FailedPrecondition), exit.Denied},
		{"another change", call(codes.Aborted), exit.Denied},
		{"timed out at the server", call(codes.DeadlineExceeded), exit.TimedOut},
		{"unreachable", call(codes.Unavailable), exit.Unreachable},
		{"broken", call(codes.Internal), exit.Unreachable},
		{"an older server", call(codes.Unimplemented), exit.Unreachable},
		{"timed out here", fmt.Errorf("wait: %w", context.DeadlineExceeded), exit.TimedOut},
		{"interrupted", fmt.Errorf("wait: %w", context.Canceled), exit.Interrupted},
		{"said already", exit.Silently(exit.Denied), exit.Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := exit.Code(test.err); got != test.want {
				t.Errorf("code %d, want %d", got, test.want)
			}
		})
	}
}

// An outcome that is added to the contract must not become a success by itself.
func TestEveryOutcomeHasItsCode(t *testing.T) {
	want := map[releasev1.Outcome]int{
		releasev1.Outcome_OUTCOME_SUCCEEDED:             exit.OK,
		releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES: exit.OK,
		releasev1.Outcome_OUTCOME_REJECTED:              exit.Denied,
	}
	for n := range releasev1.Outcome_name {
		code, ok := want[releasev1.Outcome(n)]
		if !ok {
			code = exit.Failed
		}
		if got := exit.OfOutcome(releasev1.Outcome(n)); got != code {
			t.Errorf("%s: code %d, want %d", releasev1.Outcome(n), got, code)
		}
	}
}

func TestSilenceIsToldFromWords(t *testing.T) {
	if exit.Silently(exit.OK) != nil {
		t.Error("a success is an error")
	}
	if !exit.IsSilent(fmt.Errorf("more: %w", exit.Silently(exit.Failed))) {
		t.Error("a silent error is not")
	}
	if exit.IsSilent(exit.Withf(exit.Failed, "loud")) {
		t.Error("a loud error is silent")
	}
	if exit.With(exit.Usage, nil) != nil || exit.Call("try", nil) != nil {
		t.Error("no error became one")
	}
}

func TestErrorsOfServicesAreEscaped(t *testing.T) {
	err := exit.Call("approve shop", status.Error(codes.PermissionDenied, "no\x1b[2J\nforged: yes"))
	if got := err.Error(); got != `approve shop: denied: no\x1b[2J\nforged: yes` {
		t.Errorf("got %q", got)
	}
	if err := exit.Call("read", errors.New("odd")); err.Error() != "read: odd" {
		t.Errorf("got %q", err)
	}
}

func TestWrongFieldsHaveALineEach(t *testing.T) {
	err := exit.Call("review shop", refusal.InvalidFields("shipwarden.approval.v1", refusal.ReasonField,
		refusal.Field{Path: "reason", Rule: "STRING_MIN_LEN", Message: "must have at least 1 character"},
		refusal.Field{Path: "follow_ups[0].owner", Message: "nobody is called \ax"},
		refusal.Field{Message: "a rule about all of it"}))
	want := "review shop: not valid\n  reason: must have at least 1 character\n" +
		`  follow_ups[0].owner: nobody is called \ax` + "\n  a rule about all of it\n  (INVALID_FIELD)"
	if got := err.Error(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheTopicNamesEveryCode(t *testing.T) {
	for _, code := range []int{exit.OK, exit.Failed, exit.Usage, exit.TimedOut, exit.Denied, exit.Unreachable, exit.Interrupted} {
		if !strings.Contains(exit.Topic, fmt.Sprintf("\n  %-5d", code)) {
			t.Errorf("code %d is not explained", code)
		}
	}
}
