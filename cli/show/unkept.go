package show

import (
	"github.com/blackdice/shipwarden/cli/terminal"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// unkept is what the release rests on or told of, and nobody can look at any more: the store
// of evidence did not take it.
func (p *page) unkept(all []*releasev1.UnkeptEvidence) {
	t := terminal.NewTable()
	for _, u := range all {
		t.Add(u.GetName(), u.GetDigest(), u.GetReason())
	}
	p.table("Not kept as evidence", t, "WHAT", "DIGEST", "WHY")
}
