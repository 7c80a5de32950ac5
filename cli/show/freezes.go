package show

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// exceptions are those of freezes that people made for the release.
func (p *page) exceptions(all []*approvalv1.FreezeException) {
	t := terminal.NewTable()
	for _, e := range all {
		t.Add(e.GetFreeze(), "by "+e.GetPerson(), terminal.Time(e.GetTime()), e.GetTicket(), e.GetReason())
	}
	p.table("Exceptions of freezes", t, "FREEZE", "BY", "TIME", "TICKET", "REASON")
}

// start is what would hold a start now, and from when on nothing does.
func (p *page) start(holds []*releasev1.HoldReason, earliest *timestamppb.Timestamp, zoneData string) {
	t := terminal.NewTable()
	unless := ""
	for _, h := range holds {
		until := "until " + terminal.Time(h.GetUntil())
		if h.GetUntil() == nil {
			until, unless = "without a known end", ", if what has no known end is over by then"
		}
		t.Add(h.GetRule(), h.GetSubject(), until, h.GetSetBy(), h.GetMessage())
	}
	p.table("A start would wait for", t, "RULE", "SUBJECT", "UNTIL", "SET BY", "MESSAGE")
	if len(holds) > 0 && earliest != nil {
		p.line("  earliest feasible start: %s%s%s", terminal.Time(earliest), by(zoneData), unless)
	}
}

func by(zoneData string) string {
	if zoneData == "" {
		return ""
	}
	return ", by " + terminal.Escape(zoneData)
}
