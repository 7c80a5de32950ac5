package eventstore

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Filter is the subject filter of an aggregate's history, "rel.<release>.>". It is
// what conditions on the last sequence are bound to, and no other text may be: the
// server tells concurrent writers apart by the text.
func Filter(aggregate string) string { return aggregate + ".>" }

// transport are the headers that only the server looks at when it stores a message.
// They say nothing of the event.
var transport = map[string]bool{
	jetstream.ExpectedStreamHeader: true, jetstream.ExpectedLastSubjSeqHeader: true, jetstream.ExpectedLastSubjSeqSubjHeader: true,
	headerBatchID: true, headerBatchSeq: true, headerBatchCommit: true,
}

// expect makes the server store the message only if seq is the sequence of the
// last message that the filter matches, 0 for none. Nothing else in the
// repository sets these headers.
func expect(header nats.Header, filter string, seq uint64) {
	header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(seq, 10)}
	header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{filter}
}

// condition is what the server checked before it stored a message: that the last one
// under the filter had the sequence.
type condition struct {
	filter   string
	sequence string
}

// conditionOf finds the condition in a message's header block as the server finds it.
// The client library's reading will not do: it also takes a bare line feed for the end
// of a line, so that it sees headers that the server did not see, and did not check.
func conditionOf(block []byte) condition {
	return condition{
		filter:   headerOf(block, jetstream.ExpectedLastSubjSeqSubjHeader),
		sequence: headerOf(block, jetstream.ExpectedLastSubjSeqHeader),
	}
}

func headerOf(block []byte, name string) string {
	_, rest, found := bytes.Cut(block, []byte("\r\n"+name+":"))
	if !found {
		return ""
	}
	value, _, found := bytes.Cut(rest, []byte("\r\n"))
	if !found {
		return ""
	}
	return strings.TrimLeft(string(value), " ")
}

// follows returns the sequence of the message before this one, 0 for none, as the server
// found it when it stored this one, and whether that is known.
func (m stored) follows(aggregate string) (uint64, bool) {
	if m.condition.filter != Filter(aggregate) || !strings.HasPrefix(m.subject, aggregate+".") {
		return 0, false
	}
	before, err := strconv.ParseUint(m.condition.sequence, 10, 64)
	return before, err == nil && before < m.sequence
}
