package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/blackdice/shipwarden/internal/evidence"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// refusing is a store that takes nothing, for that reason.
type refusing struct{ err error }

func (r refusing) Put(context.Context, string, string, []byte) (*releasev1.EvidenceRef, error) {
	return nil, fmt.Errorf("put: %w", r.err)
}

// TestAHiccupIsNoReasonToGoOnWithout: what waiting does not mend is borne at once, anything
// else when it was tried often enough, and not at the delivery before.
func TestAHiccupIsNoReasonToGoOnWithout(t *testing.T) {
	other := errors.New("no leader")
	for _, test := range []struct {
		err      error
		delivery int
		borne    bool
	}{
		{evidence.ErrFull, 1, true},
		{evidence.ErrTooLarge, 1, true},
		{other, 0, false},
		{other, 1, false},
		{context.DeadlineExceeded, evidence.Patience - 1, false},
		{other, evidence.Patience, true},
		{context.DeadlineExceeded, evidence.Patience + 3, true},
	} {
		keeper := evidence.TolerateAt(refusing{test.err}, test.delivery)
		_, err := keeper.Put(t.Context(), "text/plain", "evidence-0", []byte("x"))
		if borne := err == nil && len(keeper.Unkept()) == 1; borne != test.borne || !borne && (!errors.Is(err, test.err) || len(keeper.Unkept()) != 0) {
			t.Errorf("%v at delivery %d: %v, not kept %v", test.err, test.delivery, err, keeper.Unkept())
		}
	}
}
