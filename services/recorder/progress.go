package recorder

import (
	"fmt"
	"io"
	"time"
)

// tellEvery is how long a rebuild says nothing.
const tellEvery = 5 * time.Second

// progress tells people how far a rebuild is, at once and then now and then.
type progress struct {
	out io.Writer
	now func() time.Time

	began, told time.Time
}

func newProgress(out io.Writer, now func() time.Time) *progress {
	return &progress{out: out, now: now, began: now()}
}

// tell is called with every batch.
func (p *progress) tell(done, of uint64) {
	now := p.now()
	if !p.told.IsZero() && now.Sub(p.told) < tellEvery {
		return
	}
	p.told = now
	took := now.Sub(p.began)
	if done == 0 || took <= 0 {
		fmt.Fprintf(p.out, "recording %d messages anew\n", of)
		return
	}
	each := float64(took) / float64(done)
	left := time.Duration(each * float64(of-done)).Round(time.Second)
	fmt.Fprintf(p.out, "%d of %d messages recorded anew, %.0f a second, about %s left\n", done, of, float64(time.Second)/each, left)
}
