package check_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// TestSamplesOfOtherCriteriaProveNothing: whatever a check expects is in the evidence, so
// that samples which were taken by weaker checks are not taken for those of the release.
func TestSamplesOfOtherCriteriaProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, "eu1")
		p.Checks[0].GetHttp().MaxLatency = durationpb.New(time.Second)
		p.Checks[0].GetHttp().ExpectHeaders = []*releasev1.ExpectedHeader{{Name: "Server", Expect: &releasev1.ExpectedHeader_Present{}}}
		p.Checks[0].GetHttp().ExpectJson = []*releasev1.ExpectedJson{{Pointer: "/ok", Expect: &releasev1.ExpectedJson_Truth{Truth: true}}}
		p.Checks[1].Probe = &releasev1.Check_Grpc{Grpc: &releasev1.GrpcProbe{Service: "shop.Checkout"}}
		report := newWorld("").bake(t, p)
		targets := []check.Approved{{Target: "eu1", Digest: approved}}
		again, err := check.Rejudge(report.Document, p.Release, p.Checks, targets)
		if err != nil || !proto.Equal(again, report.Verification) {
			t.Fatalf("derived again: %v, %v", again, err)
		}
		for name, change := range map[string]func(*releasev1.HttpProbe){
			"another latency": func(h *releasev1.HttpProbe) { h.MaxLatency = durationpb.New(2 * time.Second) },
			"no latency":      func(h *releasev1.HttpProbe) { h.MaxLatency = nil },
			"one header more": func(h *releasev1.HttpProbe) { h.ExpectHeaders = append(h.ExpectHeaders, h.GetExpectHeaders()[0]) },
			"another header":  func(h *releasev1.HttpProbe) { h.ExpectHeaders[0].Name = "Via" },
			"another value":   func(h *releasev1.HttpProbe) { h.ExpectJson[0].Expect = &releasev1.ExpectedJson_Truth{} },
		} {
			checks := []*releasev1.Check{proto.CloneOf(p.Checks[0]), p.Checks[1]}
			change(checks[0].GetHttp())
			if _, err := check.Rejudge(report.Document, p.Release, checks, targets); !errors.Is(err, check.ErrDocument) {
				t.Errorf("%s: %v", name, err)
			}
		}
		checks := []*releasev1.Check{p.Checks[0], proto.CloneOf(p.Checks[1])}
		checks[1].GetGrpc().Service = "shop.Cart"
		if _, err := check.Rejudge(report.Document, p.Release, checks, targets); !errors.Is(err, check.ErrDocument) {
			t.Errorf("another service: %v", err)
		}
	})
}
