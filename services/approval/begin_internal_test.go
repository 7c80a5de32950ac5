package approval

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
)

// The document in effect is what people made it, whatever file the service is started
// with; only the first one may come from there.
func TestAnotherFileChangesNothing(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	common := stationtest.Common(t, procedure.ServiceApproval)
	common.Nats = &configv1.Nats{Urls: []string{n.URL()}}
	visit := func() *station.Station {
		s, err := station.Visit(t.Context(), procedure.ServiceApproval, common)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Conn.Close)
		return s
	}
	first, second := exampleDocument(t, "1.0"), exampleDocument(t, "1.1")

	// Nothing is in effect, and the configuration does not begin: it waits.
	waiting, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- begin(waiting, visit(), first, false) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("without a document it ended with %v", err)
	}
	for _, test := range []struct {
		name    string
		file    amend.Document
		differs float64
	}{
		{"the first one", first, 0}, {"the same again", first, 0}, {"another one", second, 1},
	} {
		s := visit()
		if err := begin(t.Context(), s, test.file, true); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		active, err := standing.ReadProcedure(t.Context(), s.Store, first.Procedure.GetId())
		if err != nil || active.Digest != policy.Digest(first.Bytes) {
			t.Errorf("%s: version %s is in effect: %v", test.name, active.Version, err)
		}
		if got, err := testutil.GatherAndCount(s.Registry, "shipwarden_procedure_file_differs"); err != nil || got != 1 {
			t.Fatalf("%s: %d gauges: %v", test.name, got, err)
		}
		families, err := s.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "shipwarden_procedure_file_differs" && f.GetMetric()[0].GetGauge().GetValue() != test.differs {
				t.Errorf("%s: the gauge says %v", test.name, f.GetMetric()[0].GetGauge().GetValue())
			}
		}
	}
	// One of another id would take its place just so: the service does not start with it.
	renamed := exampleDocument(t, "1.1")
	renamed.Bytes = bytes.Replace(renamed.Bytes, []byte(first.Procedure.GetId()), []byte("PROC-OTHER-1"), 1)
	renamed.Procedure.Id = "PROC-OTHER-1"
	for _, activateFirst := range []bool{true, false} {
		// It would wait, as where nothing is in effect.
		visitor := visit()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := begin(ctx, visitor, renamed, activateFirst)
		cancel()
		if !errors.Is(err, amend.ErrInEffect) || !strings.Contains(err.Error(), "procedure_file: id: ") {
			t.Errorf("with a file of another id, and activate_first %t: %v", activateFirst, err)
		}
	}
	// An administrator can, and has to say why.
	other := stationtest.File(t, "other.yaml", string(renamed.Bytes))
	cfg := &configv1.Approval{Common: common}
	file := stationtest.File(t, "procedure.yaml", string(second.Bytes))
	if _, _, err := Activate(t.Context(), cfg, file, amend.Administrative{Reason: "because"}); !errors.Is(err, amend.ErrInEffect) {
		t.Errorf("without an override: %v", err)
	}
	active, changed, err := Activate(t.Context(), cfg, file, amend.Administrative{Reason: "because", ClaimedBy: "dave", Override: true})
	if err != nil || !changed || active.Version != "1.1" {
		t.Errorf("with an override: %v, %t, %v", active, changed, err)
	}
	if _, _, err := Activate(t.Context(), cfg, other, amend.Administrative{Reason: "because"}); !errors.Is(err, amend.ErrInEffect) {
		t.Errorf("another id without an override: %v", err)
	}
	if _, changed, err := Activate(t.Context(), cfg, other, amend.Administrative{Reason: "because", ClaimedBy: "dave", Override: true}); err != nil || !changed {
		t.Errorf("another id with an override: %t, %v", changed, err)
	}
	s := visit()
	e, _, err := s.Store.Last(t.Context(), procedure.ProcedureAggregate("PROC-OTHER-1"))
	if want := strings.ToLower(first.Procedure.GetId()); err != nil || !slices.Equal(e.Event.GetProcedureActivated().GetBeside(), []string{want}) {
		t.Errorf("on record is %v, %v", e.Event.GetProcedureActivated(), err)
	}
	// From there on the service begins with it.
	if err := begin(t.Context(), s, renamed, true); err != nil {
		t.Error(err)
	}
}

func exampleDocument(t *testing.T, version string) amend.Document {
	t.Helper()
	doc, data, err := document(&configv1.Approval{ProcedureFile: "../../examples/starter.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte(`version: "1.0"`), []byte(`version: "`+version+`"`), 1)
	doc.Version = version
	return amend.Document{Procedure: doc, Bytes: data}
}
