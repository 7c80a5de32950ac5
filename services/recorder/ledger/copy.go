package ledger

import (
	"encoding/binary"
	"io"
	"math"
	"time"
)

// few is how many events go with the rest of their batch. More go by COPY, which costs
// far less for each and a little more at all.
const few = 32

// copyEvents adds events in the binary format of COPY.
const copyEvents = `copy events
	(seq, aggregate, subject, event_id, type, stored, stored_nanos, headers, body, sha256, signed_by, rejected)
	from stdin binary`

// copyFields is how many columns copyEvents names.
const copyFields = 12

// copyHeader is the signature of the format, no flags, no extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// copyTrailer ends the data.
const copyTrailer = "\xff\xff"

// databaseEpoch is what PostgreSQL counts microseconds from: 2000-01-01, in those
// of Unix.
const databaseEpoch = 946_684_800_000_000

// copyReader gives rows in that format, each encoded when it is asked for, so that
// a batch is never in memory twice.
type copyReader struct {
	rows []row
	// pending is what of the encoded was not read yet, in buffer.
	pending, buffer []byte
	begun, ended    bool
}

// Read implements io.Reader. It never fails.
func (c *copyReader) Read(p []byte) (int, error) {
	n := 0
	for {
		if len(c.pending) == 0 && !c.advance() {
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
		}
		copied := copy(p[n:], c.pending)
		n, c.pending = n+copied, c.pending[copied:]
		if len(c.pending) > 0 {
			return n, nil
		}
	}
}

// advance encodes what comes next; false at the end.
func (c *copyReader) advance() bool {
	switch {
	case !c.begun:
		c.begun = true
		c.buffer = append(c.buffer[:0], copyHeader...)
	case len(c.rows) > 0:
		c.buffer = appendRow(c.buffer[:0], &c.rows[0])
		c.rows = c.rows[1:]
	case !c.ended:
		c.ended = true
		c.buffer = append(c.buffer[:0], copyTrailer...)
	default:
		return false
	}
	c.pending = c.buffer
	return true
}

func appendRow(b []byte, r *row) []byte {
	id, kind := r.identity()
	digest := r.digest()
	b = binary.BigEndian.AppendUint16(b, copyFields)
	b = appendInteger(b, int64(r.Sequence)) //nolint:gosec // Sequences are far below 2^63.
	b = appendField(b, r.aggregate)
	b = appendField(b, clean(r.Subject))
	b = appendField(b, id)
	b = appendField(b, kind)
	b = appendInteger(b, microseconds(r.Stored))
	b = appendInteger(b, r.Stored.UnixNano())
	b = appendField(b, r.Header)
	b = appendField(b, r.Body)
	b = appendField(b, digest[:])
	b = appendField(b, clean(r.SignedBy))
	if r.rejected == nil {
		return binary.BigEndian.AppendUint32(b, math.MaxUint32) // null
	}
	return appendField(b, clean(r.rejected.Error()))
}

func appendField[T string | []byte](b []byte, value T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(value))) //nolint:gosec // Messages have an upper limit of a few megabytes.
	return append(b, value...)
}

func appendInteger(b []byte, value int64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(value)) //nolint:gosec // The two's complement is what the format has.
}

// microseconds is a timestamptz.
func microseconds(t time.Time) int64 {
	return t.Unix()*1_000_000 + int64(t.Nanosecond())/1000 - databaseEpoch
}
