package eventstore_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
)

// A history is read backwards where each message names the one before it. Whoever is
// between them without a name is found all the same.
func TestAMessageThatNamesNoneBeforeItHidesNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		var want []string
		add := func(text string) {
			t.Helper()
			if _, err := s.Append(t.Context(), following(load(t, s, "rel.r"), text)); err != nil {
				t.Fatal(err)
			}
			want = append(want, text)
		}
		check := func(invalid int) {
			t.Helper()
			h := load(t, eventstoretest.Store(n, procedure.ServiceApproval), "rel.r")
			if diff := gocmp.Diff(want, reasons(h)); diff != "" || len(h.Invalid) != invalid {
				t.Fatalf("%d invalid messages, want %d, and %s", len(h.Invalid), invalid, diff)
			}
		}
		add("one")
		add("two")
		check(0)
		if _, err := n.JetStream().Publish(t.Context(), "rel.r.approval.withdrawn", []byte("on top")); err != nil {
			t.Fatal(err)
		}
		check(1)
		add("three")
		check(1)
		add("four")
		check(1)
	})
}

// To the client library a bare line feed ends a line of a header, to the server it does
// not. A condition that only one of them sees was not checked.
func TestAConditionThatTheServerDidNotSeeHidesNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		topology := eventstoretest.Topology(n)
		for i := range topology.Streams {
			topology.Streams[i].Duplicates = 100 * time.Millisecond // Copies are stored after that.
		}
		if err := eventstore.Provision(t.Context(), n.JetStream(), topology); err != nil {
			t.Fatal(err)
		}
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		var sequences []uint64
		for _, text := range []string{"one", "two", "three"} {
			stored, err := s.Append(t.Context(), following(load(t, s, "rel.r"), text))
			if err != nil {
				t.Fatal(err)
			}
			sequences = append(sequences, stored[0].Sequence)
		}
		stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := stream.GetMsg(t.Context(), sequences[1])
		if err != nil {
			t.Fatal(err)
		}
		// A copy of the second event that claims to come directly after the first.
		header := "NATS/1.0\r\n"
		for name, values := range copied.Header {
			if !strings.HasPrefix(name, "Nats-Expected-") {
				header += name + ": " + values[0] + "\r\n"
			}
		}
		header += fmt.Sprintf("x: y\nNats-Expected-Last-Subject-Sequence: %d\nNats-Expected-Last-Subject-Sequence-Subject: rel.r.>\r\n\r\n", sequences[0])
		natstest.Eventually(t, "the copy in the stream", func() bool {
			publishRaw(t, n, copied.Subject, header, copied.Data)
			info, err := stream.Info(t.Context())
			return err == nil && info.State.LastSeq > sequences[2]
		})

		fresh := eventstoretest.Store(n, procedure.ServiceApproval)
		h := load(t, fresh, "rel.r")
		if diff := gocmp.Diff([]string{"one", "two", "three", "two"}, reasons(h)); diff != "" {
			t.Error(diff)
		}
		seen, err := nats.DecodeHeadersMsg([]byte(header))
		if err != nil || seen.Get("Nats-Expected-Last-Subject-Sequence") == "" {
			t.Errorf("the client library sees %v (%v): this test no longer shows anything", seen, err)
		}
	})
}

// publishRaw writes the bytes as they are, which no client library does, and waits for an answer: two that
// are on their way at once could both be stored.
func publishRaw(t *testing.T, n natstest.Server, subject, header string, body []byte) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.URLs()[0], "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB _INBOX.raw 1\r\nHPUB %s _INBOX.raw %d %d\r\n%s%s\r\n",
		subject, len(header), len(header)+len(body), header, body)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "MSG "):
			return
		case strings.HasPrefix(line, "-ERR"):
			t.Fatal(line)
		}
	}
	t.Fatal("the server does not answer")
}
