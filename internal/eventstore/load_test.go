package eventstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestLoadSeesAtOnceWhatOthersWrote(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		one := eventstoretest.Store(n, procedure.ServiceApproval)
		two := eventstoretest.Store(n, procedure.ServiceApproval)
		for i := range 10 {
			h := load(t, one, "rel.r")
			if len(h.Entries) != i {
				t.Fatalf("history has %d events, want %d", len(h.Entries), i)
			}
			if _, err := two.Append(t.Context(), following(h, fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestASmallCacheForgetsAndReadsAgain(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval, eventstore.WithCacheEntries(3))
		for round := range 3 {
			for i := range 5 {
				name := fmt.Sprintf("rel.r%d", i)
				h := load(t, s, name)
				if len(h.Entries) != round {
					t.Fatalf("%s has %d events in round %d", name, len(h.Entries), round)
				}
				if _, err := s.Append(t.Context(), following(h, "x")); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestMessagesThatAreNoEventsAreReportedAndDoNotCount(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		if _, err := s.Append(t.Context(), following(load(t, s, "rel.r"), "true")); err != nil {
			t.Fatal(err)
		}
		foreign := []*nats.Msg{
			{Subject: "rel.r.approval.withdrawn", Data: []byte(`{"stream":"REL","seq":1}`)},
			{Subject: "rel.r.x", Data: nil},
			{Subject: "rel.r.approval.withdrawn", Header: nats.Header{"ce-id": {"1"}, "Shipwarden-Signature": {"approval-test AAAA"}}},
		}
		for _, m := range foreign {
			if _, err := n.JetStream().PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		h := load(t, s, "rel.r")
		if len(h.Entries) != 1 || len(h.Invalid) != len(foreign) || h.Last != uint64(len(foreign)+1) {
			t.Errorf("history %+v, want one event and %d invalid messages", h, len(foreign))
		}
		for i, want := range []error{envelope.ErrUnsigned, envelope.ErrUnsigned, envelope.ErrSignature} {
			if !errors.Is(h.Invalid[i].Reason, want) {
				t.Errorf("message %d is invalid because %v, want %v", i, h.Invalid[i].Reason, want)
			}
		}
	})
}

func TestHeadersThatCanNotBeReadHideNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		// Header lines without a colon, which no client library writes.
		conn := n.Connect(t)
		broken := nats.NewMsg("rel.r.approval.withdrawn")
		broken.Header[strings.Repeat("x", 10)+"\r\nno colon"] = []string{"y"}
		if err := conn.PublishMsg(broken); err != nil {
			t.Logf("the client refused to send it: %v", err)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), following(load(t, s, "rel.r"), "after")); err != nil {
			t.Fatal(err)
		}
		if h := load(t, eventstoretest.Store(n, procedure.ServiceApproval), "rel.r"); len(h.Entries) != 1 {
			t.Errorf("history %+v, want the event behind the broken message", h)
		}
	})
}

func unlocked(release string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{Release: release}}}
}

func TestLastIsTheNewestEventThatCounts(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceExecutor)
		if _, found, err := s.Last(t.Context(), "tgt.shop-1"); found || err != nil {
			t.Errorf("of nothing: %v, %v", found, err)
		}
		var expect uint64
		var previous *releasev1.Previous
		for _, release := range []string{"one", "two"} {
			stored, err := s.Append(t.Context(), eventstore.Draft{Aggregate: "tgt.shop-1", Expect: expect, Previous: previous, Event: unlocked(release)})
			if err != nil {
				t.Fatal(err)
			}
			expect = stored[0].Sequence
			previous = &releasev1.Previous{Sequence: expect, Sha256: stored[0].Digest[:]}
		}
		for range 2 { // without and with a foreign message on top
			last, found, err := s.Last(t.Context(), "tgt.shop-1")
			if err != nil || !found || last.Event.GetTargetUnlocked().GetRelease() != "two" || last.Sequence != expect {
				t.Fatalf("last is %+v, %v, %v, want the second", last, found, err)
			}
			if _, err := n.JetStream().Publish(t.Context(), "tgt.shop-1.executor.target_locked", nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Append(t.Context(), eventstore.Draft{Aggregate: "tgt.shop-1", Expect: expect, Previous: previous, Event: unlocked("three")}); err != nil {
			t.Errorf("append behind foreign messages: %v", err)
		}
	})
}

// TestTheNewestRequestIsThatOfWhicheverRelease: what came later in a release is none, and a
// message that is no event hides it rather than stand for it.
func TestTheNewestRequestIsThatOfWhicheverRelease(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		if _, found, err := s.NewestRequest(t.Context()); found || err != nil {
			t.Errorf("of nothing: %v, %v", found, err)
		}
		for _, release := range []string{"rel.b", "rel.a"} {
			first := &releasev1.Event{ProcedureDigest: "sha256:" + release, Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{}}}
			if _, err := s.Append(t.Context(), eventstore.Draft{Aggregate: release, Event: first}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Append(t.Context(), following(load(t, s, "rel.b"), "later")); err != nil {
			t.Fatal(err)
		}
		e, found, err := s.NewestRequest(t.Context())
		if err != nil || !found || e.Event.GetProcedureDigest() != "sha256:rel.a" {
			t.Errorf("%v, %t, %v", e.Event, found, err)
		}
		if _, err := n.JetStream().Publish(t.Context(), "rel.c.approval.requested", nil); err != nil {
			t.Fatal(err)
		}
		if _, found, err := s.NewestRequest(t.Context()); found || err != nil {
			t.Errorf("behind a foreign message: %t, %v", found, err)
		}
	})
}

// TestTheNewestReleasesAreFoundFarBack: the newest first, each once, and none of what does not
// count.
func TestTheNewestReleasesAreFoundFarBack(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		want := func(most int, newest uint64, ids ...string) {
			t.Helper()
			got, at, err := s.NewestReleases(t.Context(), most)
			if err != nil || !slices.Equal(got, ids) || at != newest {
				t.Errorf("%d: %v at %d, want %v at %d: %v", most, got, at, ids, newest, err)
			}
		}
		want(3, 0)
		request := func(release string) {
			t.Helper()
			first := &releasev1.Event{ProcedureDigest: "sha256:" + release, Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{}}}
			if _, err := s.Append(t.Context(), eventstore.Draft{Aggregate: "rel." + release, Event: first}); err != nil {
				t.Fatal(err)
			}
		}
		request("a")
		request("b")
		for i := range 300 { // further back than the first look
			if _, err := s.Append(t.Context(), following(load(t, s, "rel.a"), fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		request("c")
		if _, err := n.JetStream().Publish(t.Context(), "rel.d.approval.requested", nil); err != nil {
			t.Fatal(err)
		}
		want(0, 0)
		want(1, 303, "c")
		want(2, 303, "c", "b")
		want(3, 303, "c", "b", "a")
		want(1000, 303, "c", "b", "a")
	})
}

// A copy is signed, and stands where its original did. Once the server has forgotten
// the message's id it stores it again, and a target would seem to be free.
func TestACopyOfAnOldStandingDoesNotCount(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		topology := eventstoretest.Topology(n)
		for i := range topology.Streams {
			topology.Streams[i].Duplicates = 100 * time.Millisecond
		}
		if err := eventstore.Provision(t.Context(), n.JetStream(), topology); err != nil {
			t.Fatal(err)
		}
		s := eventstoretest.Store(n, procedure.ServiceExecutor)
		stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		var head procedure.Head
		add := func(release string) {
			t.Helper()
			stored, err := s.Append(t.Context(), eventstore.Draft{
				Aggregate: "tgt.shop-1", Expect: head.Sequence, Previous: head.Previous(), Event: unlocked(release),
			})
			if err != nil {
				t.Fatalf("append behind copies: %v", err)
			}
			head = procedure.Head{Sequence: stored[0].Sequence, Digest: stored[0].Digest}
		}
		for _, release := range []string{"one", "two", "three"} {
			add(release)
		}
		for _, original := range []uint64{1, 3, 2, 1} {
			m, err := stream.GetMsg(t.Context(), original)
			if err != nil {
				t.Fatal(err)
			}
			again := &nats.Msg{Subject: m.Subject, Header: nats.Header{}, Data: m.Data}
			for name, values := range m.Header {
				if !strings.HasPrefix(name, "Nats-Expected") {
					again.Header[name] = values
				}
			}
			natstest.Eventually(t, "the copy in the stream", func() bool {
				ack, err := n.JetStream().PublishMsg(t.Context(), again)
				return err == nil && !ack.Duplicate
			})
			last, found, err := s.Last(t.Context(), "tgt.shop-1")
			if err != nil || !found || last.Sequence != head.Sequence {
				t.Fatalf("with a copy of %d on top, last is %d (%v, %v), want %d", original, last.Sequence, found, err, head.Sequence)
			}
		}
		add("four")
		if last, _, err := s.Last(t.Context(), "tgt.shop-1"); err != nil || last.Event.GetTargetUnlocked().GetRelease() != "four" {
			t.Errorf("last is %+v, %v, want the fourth", last, err)
		}
	})
}

func TestDraftsThatCanNotBeMeantAreRefused(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		approval := eventstoretest.Store(n, procedure.ServiceApproval)
		draft := following(eventstore.History{Aggregate: "rel.r"}, "x")
		with := func(change func(*eventstore.Draft)) eventstore.Draft {
			d := draft
			change(&d)
			return d
		}
		for name, drafts := range map[string][]eventstore.Draft{
			"none":                      {},
			"two of one aggregate":      {draft, draft},
			"without an event":          {with(func(d *eventstore.Draft) { d.Event = nil })},
			"without data":              {with(func(d *eventstore.Draft) { d.Event = &releasev1.Event{} })},
			"of another service":        {with(func(d *eventstore.Draft) { d.Event = unlocked("r") })},
			"to a wildcard":             {with(func(d *eventstore.Draft) { d.Aggregate = "rel.>" })},
			"after an unseen event":     {with(func(d *eventstore.Draft) { d.Previous = &releasev1.Previous{Sequence: 9} })},
			"larger than a stream take": {with(func(d *eventstore.Draft) { d.Event = event(strings.Repeat("x", envelope.MaxBody)) })},
		} {
			if _, err := approval.Append(t.Context(), drafts...); !errors.Is(err, eventstore.ErrDraft) {
				t.Errorf("%s: got %v, want a draft that is not valid", name, err)
			}
		}
		if h := load(t, approval, "rel.r"); h.Last != 0 {
			t.Errorf("something was stored: %+v", h)
		}
	})
}

func TestAStoreThatNobodyWouldBelieveDoesNotWrite(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		reader := eventstore.New(n.JetStream(), envelopetest.Ring(), nil, time.Now)
		if _, err := reader.Append(t.Context(), following(eventstore.History{Aggregate: "rel.r"}, "x")); !errors.Is(err, eventstore.ErrReadOnly) {
			t.Errorf("without a signer: %v", err)
		}
		cfg := envelopetest.Config()
		cfg.Keys = cfg.GetKeys()[1:]
		ring, err := envelope.NewKeyring(cfg)
		if err != nil {
			t.Fatal(err)
		}
		unknown := eventstore.New(n.JetStream(), ring, envelopetest.Signer(procedure.ServiceApproval), time.Now)
		if _, err := unknown.Append(t.Context(), following(eventstore.History{Aggregate: "rel.r"}, "x")); !errors.Is(err, eventstore.ErrReadOnly) {
			t.Errorf("with a key that the keyring lacks: %v", err)
		}
	})
}

func TestWhatIsKnownIsWhatSomeLoadFound(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s, other := eventstoretest.Store(n, procedure.ServiceApproval), eventstoretest.Store(n, procedure.ServiceApproval)
		if h, ok := s.Known("rel.r"); ok {
			t.Errorf("before any load %v is known", h)
		}
		if h := load(t, s, "rel.r"); h.Last != 0 {
			t.Fatalf("the release ends at %d", h.Last)
		}
		if h, ok := s.Known("rel.r"); ok {
			t.Errorf("of an aggregate without messages %v is known", h)
		}
		if _, err := other.Append(t.Context(), following(load(t, other, "rel.r"), "one")); err != nil {
			t.Fatal(err)
		}
		want := load(t, s, "rel.r")
		if _, err := other.Append(t.Context(), following(load(t, other, "rel.r"), "two")); err != nil {
			t.Fatal(err)
		}
		got, ok := s.Known("rel.r")
		if !ok || got.Last != want.Last || len(got.Entries) != 1 {
			t.Errorf("known is %v (%t), want what was loaded: %v", got, ok, want)
		}
		if h := load(t, s, "rel.r"); len(h.Entries) != 2 {
			t.Errorf("the load after that found %d entries, want 2", len(h.Entries))
		}
	})
}

// The end of a history that carries its whole state costs what it is long, and is read past what
// does not count in it.
func TestTheEndOfAHistoryIsReadBackwards(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceExecutor)
		const aggregate = "tgt.eu1"
		tail := func(release string) (names []string) {
			t.Helper()
			got, err := s.Tail(t.Context(), aggregate, func(e procedure.Entry) bool { return e.Event.GetTargetUnlocked().GetRelease() == release })
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range got {
				names = append(names, e.Event.GetTargetUnlocked().GetRelease())
			}
			return names
		}
		if got := tail("a"); got != nil {
			t.Errorf("of a target of which there is nothing: %v", got)
		}
		var head procedure.Head
		for _, release := range []string{"a", "b", "c", "d"} {
			stored, err := s.Append(t.Context(), eventstore.Draft{Aggregate: aggregate, Expect: head.Sequence, Previous: head.Previous(), Event: unlocked(release)})
			if err != nil {
				t.Fatal(err)
			}
			head = procedure.Head{Sequence: stored[0].Sequence, Digest: stored[0].Digest}
			if _, err := n.JetStream().Publish(t.Context(), "tgt.eu1.executor.target_unlocked", []byte("between")); err != nil {
				t.Fatal(err)
			}
		}
		for release, want := range map[string]string{"d": "d", "c": "c d", "b": "b c d", "a": "a b c d", "none": "a b c d"} {
			if got := strings.Join(tail(release), " "); got != want {
				t.Errorf("back to %s: %s, want %s", release, got, want)
			}
		}
	})
}
