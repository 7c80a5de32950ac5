package ledger

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

func TestRowsAreTheSameBytesHoweverTheyAreRead(t *testing.T) {
	var rows []row
	for i := range uint64(3) {
		r := row{Message: Message{
			Sequence: i + 1, Subject: "rel.a.b", Header: []byte("ce-id: x\n"), Body: bytes.Repeat([]byte{byte(i)}, 1000), Stored: time.Unix(5, 6),
			Refused: errors.New("not signed"),
		}, aggregate: "rel.a"}
		r.rejected = r.Refused
		rows = append(rows, r)
	}
	whole, err := io.ReadAll(&copyReader{rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(whole, []byte(copyHeader)) || !bytes.HasSuffix(whole, []byte(copyTrailer)) || len(whole) < 3000 {
		t.Errorf("%d bytes begin and end with %q and %q", len(whole), whole[:12], whole[len(whole)-2:])
	}
	for name, reader := range map[string]func(io.Reader) io.Reader{"a byte": iotest.OneByteReader, "half": iotest.HalfReader} {
		if got, err := io.ReadAll(reader(&copyReader{rows: rows})); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%s at a time gives other bytes (%v)", name, err)
		}
	}
}

func TestWhatIsNotOnRecordYetIsKeptInMemory(t *testing.T) {
	c := newLRU[int](2)
	c.now = 10
	for i, key := range []string{"a", "b", "c", "d"} {
		c.put(key, i)
	}
	c.trim(9)
	if _, ok := c.get("a"); !ok {
		t.Error("an entry of a batch that is not on record was dropped")
	}
	c.drop("b", 9)
	if _, ok := c.get("b"); !ok {
		t.Error("an entry that is in use was dropped")
	}
	c.now = 20
	c.get("c")
	c.trim(10)
	for key, want := range map[string]bool{"a": false, "b": true, "c": true, "d": false} {
		if _, ok := c.get(key); ok != want {
			t.Errorf("%s is there: %v", key, ok)
		}
	}
	c.put("a", 1)
	if c.drop("a", 20); len(c.items) != 2 {
		t.Errorf("%d entries", len(c.items))
	}
}
