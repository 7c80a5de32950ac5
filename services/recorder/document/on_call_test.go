package document_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhoWasOnCallIsOnRecord with the shift that said so, and instead of whom.
func TestWhoWasOnCallIsOnRecord(t *testing.T) {
	h := history(t, procedure.PhaseApprove)
	from, until := h.Now.Add(-time.Hour).Truncate(time.Second), h.Now.Add(time.Hour).Truncate(time.Second)
	finn := &releasev1.Actor{Id: "finn", Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: []string{"release-managers"}, OnCall: []*releasev1.Shift{{
		Group: "release-managers", Rota: "weekly", Number: 7, From: timestamppb.New(from), Until: timestamppb.New(until), Override: "Anna is away",
	}}}
	if err := h.Store(h.Next(finn, proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))); err != nil {
		t.Fatal(err)
	}
	h.Do(t, "ben", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))

	built := document.Build(h.Release, messages(h))
	var record document.Record
	if err := json.Unmarshal(encode(t, built), &record); err != nil {
		t.Fatal(err)
	}
	want := document.Shift{Group: "release-managers", Rota: "weekly", Number: 7, From: from, Until: until, Override: "Anna is away"}
	if on := record.Approvals[0].OnCall; len(on) != 1 || on[0] != want || len(record.Approvals[1].OnCall) != 0 {
		t.Errorf("on record: %+v", record.Approvals)
	}
	for _, text := range []string{"on call for release-managers in shift 7 of the rota weekly", "instead of whom it says: Anna is away", "approved by finn, on call for release-managers"} {
		if !bytes.Contains(built.Markdown(), []byte(text)) {
			t.Errorf("the document does not say %q", text)
		}
	}
}
