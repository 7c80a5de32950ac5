package amend

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestTheLargestComparisonFits into evidence, and what is shown of it into one answer.
func TestTheLargestComparisonFits(t *testing.T) {
	text := strings.Repeat("ü", maxText) // twice the bytes
	whole := &approvalv1.Comparison{Total: &releasev1.ProcedureComparison{Last: 1000, Releases: 1000, Changed: 1000}}
	for i := range 1000 {
		d := &approvalv1.Difference{Release: fmt.Sprintf("shop-%d", i)}
		for range 300 {
			d.Answers = append(d.Answers, &approvalv1.ChangedAnswer{Step: "5", Before: text, After: text})
		}
		d.Answers = bounded(d.GetAnswers())
		whole.Differences = append(whole.Differences, d)
	}
	got, err := pack("sha256:base", whole)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.whole); n > evidence.MaxSize || n < 1000*maxText {
		t.Errorf("the whole has %d bytes", n)
	}
	if n := proto.Size(got.short); n > 1<<20 || len(got.short.GetDifferences()) != maxNamed || !got.short.GetCut() || got.short.GetTotal().GetChanged() != 1000 {
		t.Errorf("what is shown has %d bytes: %d releases", n, len(got.short.GetDifferences()))
	}
}

// TestAComparisonThatNoCutMakesSmallEnoughIsRefused: as a message it is, and as text, which may be larger
// by far.
func TestAComparisonThatNoCutMakesSmallEnoughIsRefused(t *testing.T) {
	for name, letter := range map[string]string{"as a message": "x", "as text alone": "\x01"} {
		whole := &approvalv1.Comparison{Total: &releasev1.ProcedureComparison{}}
		size := evidence.MaxSize/4 + 1
		if letter == "\x01" {
			size /= 3 // \u0001, six bytes of one.
		}
		for range 4 {
			whole.Differences = append(whole.Differences, &approvalv1.Difference{Release: strings.Repeat(letter, size)})
		}
		if larger := proto.Size(whole) > evidence.MaxSize; larger != (letter == "x") {
			t.Fatalf("%s: as a message it has %d bytes", name, proto.Size(whole))
		}
		if _, err := pack("sha256:base", whole); !errors.Is(err, evidence.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
