package recorder

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProgressIsToldAtOnceAndThenNowAndThen(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := newProgress(&out, func() time.Time { return at })
	for _, step := range []struct {
		after    time.Duration
		done, of uint64
	}{
		{0, 0, 90_000},
		{time.Second, 10_000, 90_000},
		{4 * time.Second, 50_000, 90_000},
		{time.Second, 60_000, 90_000},
		{5 * time.Second, 90_000, 90_000},
		{6 * time.Second, 90_000, 96_000},
	} {
		at = at.Add(step.after)
		p.tell(step.done, step.of)
	}
	want := "recording 90000 messages anew\n" +
		"50000 of 90000 messages recorded anew, 10000 a second, about 4s left\n" +
		"90000 of 90000 messages recorded anew, 8182 a second, about 0s left\n" +
		"90000 of 96000 messages recorded anew, 5294 a second, about 1s left\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
