package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/e2e/rig"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// wire is a client of the bus that knows the text protocol of NATS and nothing else:
// no library of NATS, none of ours.
type wire struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
}

// delivery is a message as it came.
type delivery struct{ subject, headers, body string }

func (y *yard) wire(user string) *wire {
	y.Helper()
	password, err := os.ReadFile(y.PasswordFile(user))
	if err != nil {
		y.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(y.Context(), "tcp", strings.TrimPrefix(y.NATSURL(), "nats://"))
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		y.Fatal(err)
	}
	w := &wire{y.T, conn, bufio.NewReader(conn)}
	if info := w.line(); !strings.HasPrefix(info, "INFO {") {
		y.Fatalf("the server does not begin with INFO: %s", info)
	}
	w.say("CONNECT {\"verbose\":false,\"pedantic\":true,\"headers\":true,\"user\":%q,\"pass\":%q}", user, password)
	if end := w.flush(); end != "PONG" {
		y.Fatalf("%s may not connect: %s", user, end)
	}
	return w
}

func (w *wire) say(format string, args ...any) {
	w.Helper()
	if _, err := fmt.Fprintf(w.conn, format+"\r\n", args...); err != nil {
		w.Fatal(err)
	}
}

func (w *wire) line() string {
	w.Helper()
	text, err := w.in.ReadString('\n')
	if err != nil {
		w.Fatal(err)
	}
	return strings.TrimSpace(text)
}

// flush waits until the server has dealt with everything that was said, and returns
// PONG or an error of the server's.
func (w *wire) flush() string {
	w.Helper()
	w.say("PING")
	answer := w.line()
	if answer != "PONG" { // The error comes first.
		w.line()
	}
	return answer
}

func (w *wire) pub(subject, body string) {
	w.Helper()
	const headers = "NATS/1.0\r\nContent-Type: application/json\r\n\r\n"
	w.say("HPUB %s %d %d\r\n%s%s", subject, len(headers), len(headers)+len(body), headers, body)
}

// next waits for a message.
func (w *wire) next() delivery {
	w.Helper()
	for {
		line := w.line()
		if line == "PING" {
			w.say("PONG")
			continue
		}
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "MSG" && words[0] != "HMSG" {
			continue
		}
		var headers, total int
		if _, err := fmt.Sscan(words[len(words)-1], &total); err != nil {
			w.Fatal(err)
		}
		if words[0] == "HMSG" {
			if _, err := fmt.Sscan(words[len(words)-2], &headers); err != nil {
				w.Fatal(err)
			}
		}
		raw := make([]byte, total+len("\r\n"))
		if _, err := io.ReadFull(w.in, raw); err != nil {
			w.Fatal(err)
		}
		return delivery{words[1], string(raw[:headers]), string(raw[headers:total])}
	}
}

// rawNATS asks for a release and hears of it.
func (y *yard) rawNATS() {
	request, err := y.world.Request(y.build("1.1.0", 0), "by-hand")
	if err != nil {
		y.Fatal(err)
	}
	body, err := protojson.Marshal(request)
	if err != nil {
		y.Fatal(err)
	}
	observer, ci := y.wire(rig.UserObserver), y.wire(rig.UserCI)
	observer.say("SUB rel.> 1")
	ci.say("SUB answer.production.shop.by-hand 1")
	for _, w := range []*wire{observer, ci} {
		if end := w.flush(); end != "PONG" {
			y.Fatal(end)
		}
	}
	ci.pub("request.production.shop", string(body))
	var answer struct{ Outcome, Release string }
	if err := json.Unmarshal([]byte(ci.next().body), &answer); err != nil {
		y.Fatal(err)
	}
	if answer.Outcome != releasev1.Answer_OUTCOME_ACCEPTED.String() {
		y.Fatalf("it was answered with %v", answer)
	}
	event := observer.next()
	if want := "rel." + answer.Release + ".approval.requested"; event.subject != want {
		y.Errorf("the first event came on %s, not on %s", event.subject, want)
	}
	for _, header := range []string{"ce-specversion: 1.0", "ce-type: ", "Shipwarden-Signature: approval-1 "} {
		if !strings.Contains(event.headers, header) {
			y.Errorf("%q is not among the headers: %s", header, event.headers)
		}
	}
	y.reach(answer.Release, "approve")
	y.withdraw(answer.Release)
}

// replies asks for releases with reply subjects that are not the requester's to choose: the
// record, the answer to somebody else, a request. Answers come where they always come. All
// that the bus itself puts there is its receipt, which nobody signed and nobody takes for
// anything; from an account of its own not even that
// (TestAReplySubjectLeadsNowhereFromAnAccountOfItsOwn).
func (y *yard) replies() {
	const forged = "rel.shop-forged.approval.requested"
	observer, ci := y.wire(rig.UserObserver), y.wire(rig.UserCI)
	observer.say("SUB rel.shop-forged.> 1")
	observer.say("SUB answer.production.shop.> 2")
	ci.say("SUB answer.production.shop.> 1")
	for _, w := range []*wire{observer, ci} {
		if end := w.flush(); end != "PONG" {
			y.Fatal(end)
		}
	}
	for i, reply := range []string{forged, "answer.production.shop.of-somebody-else", "request.production.shop"} {
		body := fmt.Sprintf("{\"idempotencyKey\": \"reply-%d\"}", i)
		ci.say("PUB request.production.shop %s %d\r\n%s", reply, len(body), body)
	}
	// The receipt on the requests' own subject is a request that makes no sense, and is
	// answered as such, under a name made of its digest.
	for name, w := range map[string]*wire{rig.UserCI: ci, rig.UserObserver: observer} {
		var answers []string
		for len(answers) < 4 {
			switch d := w.next(); {
			case d.subject == forged || d.subject == "answer.production.shop.of-somebody-else":
				y.receipt(d)
			case strings.Contains(d.body, releasev1.Answer_OUTCOME_REFUSED.String()):
				answers = append(answers, strings.TrimPrefix(d.subject, "answer.production.shop."))
			default:
				y.Errorf("%s hears on %s of %s", name, d.subject, d.body)
			}
		}
		for i := range 3 {
			if key := fmt.Sprintf("reply-%d", i); !slices.Contains(answers, key) {
				y.Errorf("%s hears no answer to %s: %v", name, key, answers)
			}
		}
	}
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	now, err := recorder.GetStatus(y.Context(), &recorderv1.GetStatusRequest{})
	if err != nil {
		y.Fatal(err)
	}
	_, err = recorder.GetRelease(y.Context(), &recorderv1.GetReleaseRequest{Release: "shop-forged", MinSequence: now.GetStreamSequence()})
	y.refused(err, codes.NotFound, "")
}

// receipt demands that a message is what the bus says of one that it stored, and no more.
func (y *yard) receipt(d delivery) {
	y.Helper()
	if !strings.HasPrefix(d.body, `{"stream":"REQUESTS"`) || strings.Contains(d.headers, ":") {
		y.Errorf("on %s came %s%s", d.subject, d.headers, d.body)
	}
}

// forbidden is what users of the bus may not do.
func (y *yard) forbidden() {
	for _, tt := range []struct{ user, what string }{
		{rig.UserCI, "PUB rel.shop-1.approval.approval_given 2\r\n{}"},
		{rig.UserCI, "PUB answer.production.shop.x 2\r\n{}"},
		{rig.UserCI, "PUB tgt.shop-eu1.executor.target_unlocked 2\r\n{}"},
		{rig.UserCI, "PUB $JS.API.STREAM.DELETE.REL 0\r\n"},
		{rig.UserCI, "PUB $JS.API.STREAM.MSG.GET.REQUESTS 2\r\n{}"},
		{rig.UserCI, "SUB rel.> 1"},
		{rig.UserCI, "SUB request.> 1"},
		{rig.UserCI, "SUB $O.EVIDENCE.> 1"},
		{rig.UserCI, "SUB $KV.> 1"},
		{rig.UserCI, "SUB > 1"},
		{rig.UserObserver, "PUB request.production.shop 2\r\n{}"},
		{rig.UserObserver, "PUB rel.shop-1.approval.approval_given 2\r\n{}"},
		{rig.UserObserver, "SUB request.> 1"},
		{rig.UserObserver, "SUB $SYS.> 1"},
	} {
		w := y.wire(tt.user)
		w.say("%s", tt.what)
		if answer := w.flush(); !strings.HasPrefix(strings.ToUpper(answer), "-ERR 'PERMISSIONS VIOLATION") {
			y.Errorf("%s may say %q: %s", tt.user, tt.what, answer)
		}
	}
}
