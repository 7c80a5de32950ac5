package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// TestWhatIsNotedAlwaysFitsBesideADocument: a document of the most that is taken must not keep
// a seal from being written.
func TestWhatIsNotedAlwaysFitsBesideADocument(t *testing.T) {
	n := note{Target: strings.Repeat("t", 128), Before: fmt.Sprintf("sha256:%064d", 0), Write: strings.Repeat("w", 22)}
	for i := range uint64(500) {
		key := driver.RollbackKey(fmt.Sprintf("%s-%03d", strings.Repeat("r", 92), i), 9999, 999999999)
		if err := key.Validate(); err != nil {
			t.Fatal(err)
		}
		f := driver.Fence{Epoch: fmt.Sprintf("%s-%d", strings.Repeat("e", 60), i), Sequence: 1<<64 - 1}
		record, _, err := n.Seal(key, f)
		if err != nil {
			t.Fatal(err)
		}
		if n.Record, _, err = record.Admit(driver.ApplyKey(fmt.Sprintf("%s-%03d", strings.Repeat("s", 92), i), 9999, 999999999), f, n.Before); err != nil {
			t.Fatal(err)
		}
	}
	n.Carries = n.Before
	header, err := header(n)
	if err != nil {
		t.Fatal(err)
	}
	if size := (bucket.Write{Header: header}).Size(); size > headerRoom {
		t.Errorf("%d bytes, kept free are %d", size, int64(headerRoom))
	}
}
