package watch_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/cli/watch"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func answer(actions ...string) *recorderv1.WatchReleaseResponse {
	return &recorderv1.WatchReleaseResponse{Release: &recorderv1.Release{
		Release: "shop-1", Service: "shop", Version: "1.4.2", Environment: "production", Phase: "approve", Summary: "It waits\x1b[2J.", Actions: actions,
		Steps: []*recorderv1.Step{
			{Number: "1", Name: "gates", Status: recorderv1.Step_STATUS_DONE, Detail: "2 of 2 gates passed"},
			{Number: "2", Name: "scope", Status: recorderv1.Step_STATUS_FAILED, Detail: "refused\nby \x1b]0;x\x07"},
			{Number: "A", Name: "authorize", Status: recorderv1.Step_STATUS_WAITING},
			{Number: "4", Name: "notify", Status: recorderv1.Step_STATUS_PENDING},
		},
	}}
}

func TestLiveDrawsInItsPlace(t *testing.T) {
	var out bytes.Buffer
	live := watch.NewLive(&out, func() int { return 0 }, terminal.Paint{})
	live.Show(answer("approve", "reject"))
	want := "\x1b[2Kshop-1  shop 1.4.2 to production  approve\n" +
		"\x1b[2K  ✓ 1  gates      done      2 of 2 gates passed\n" +
		"\x1b[2K  ✗ 2  scope      failed    refused\\nby \\x1b]0;x\\a\n" +
		"\x1b[2K  ‖ A  authorize  waiting\n" +
		"\x1b[2K  · 4  notify     pending\n" +
		"\x1b[2KIt waits\\x1b[2J.\n" +
		"\x1b[2KPossible now: approve, reject\n\x1b[J"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
	out.Reset()
	live.Show(answer())
	if !strings.HasPrefix(out.String(), "\x1b[7A") || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("the second drawing does not begin where the first did: %q", out.String())
	}
	out.Reset()
	live.Show(answer())
	if !strings.HasPrefix(out.String(), "\x1b[6A") {
		t.Errorf("the third drawing does not begin where the second did: %q", out.String())
	}
	live.Interrupted()
	out.Reset()
	live.Show(answer())
	if strings.Contains(out.String(), "A\x1b[2K") {
		t.Errorf("a drawing after something else went up: %q", out.String())
	}
}

func TestLiveFitsTheWindow(t *testing.T) {
	var out bytes.Buffer
	watch.NewLive(&out, func() int { return 24 }, terminal.Paint{On: true}).Show(answer("approve"))
	text := out.String()
	for _, code := range []string{"\x1b[2K", "\x1b[J", "\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[2m"} {
		text = strings.ReplaceAll(text, code, "")
	}
	for line := range strings.SplitSeq(text, "\n") {
		if n := utf8.RuneCountInString(line); n > 24 {
			t.Errorf("%d characters: %q", n, line)
		}
	}
	if !strings.Contains(out.String(), "\x1b[31m  ✗ 2") {
		t.Errorf("no color: %q", out.String())
	}
}

func TestLinesTellWhatDoesNotCount(t *testing.T) {
	var out bytes.Buffer
	lines := watch.NewLines(&out)
	first := answer()
	lines.Show(first)
	lines.Show(first) // after a loss of the connection, nothing missed
	second := answer()
	second.Event = &recorderv1.RecordedEvent{Sequence: 7, Rejected: "stale\x1b[1m", Event: &releasev1.Event{}}
	lines.Show(second)
	want := "-  #0  approve: It waits\\x1b[2J.\n-  #7  does not count: stale\\x1b[1m\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestAStepIsNotDoneBetweenWaves: the next wave is executed, too.
func TestAStepIsNotDoneBetweenWaves(t *testing.T) {
	r := &recorderv1.Release{Phase: "verify", Steps: []*recorderv1.Step{
		{Number: "5", Name: "execute", Status: recorderv1.Step_STATUS_DONE, Detail: "1 of 2 waves deployed"},
	}}
	draw := func() string {
		var out bytes.Buffer
		watch.NewLive(&out, func() int { return 0 }, terminal.Paint{}).Show(&recorderv1.WatchReleaseResponse{Release: r})
		return out.String()
	}
	if got := draw(); !strings.Contains(got, "▸ 5  execute    running") {
		t.Errorf("between waves: %q", got)
	}
	r.Steps[0].Detail = "2 of 2 waves deployed"
	if got := draw(); !strings.Contains(got, "✓ 5  execute    done") {
		t.Errorf("after the last wave: %q", got)
	}
	r.Steps[0].Detail, r.Outcome = "1 of 2 waves deployed", releasev1.Outcome_OUTCOME_ROLLED_BACK
	if got := draw(); !strings.Contains(got, "✓ 5  execute    done") {
		t.Errorf("when it is over: %q", got)
	}
}
