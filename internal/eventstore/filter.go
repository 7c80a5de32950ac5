package eventstore

import (
	"strconv"

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
