package config

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzDocument reads any bytes as a document of either form: it is a value that does not differ
// from itself, and whose difference to nothing can be shown, or an error.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		"limits:\n  orders: 7\n  since: 2026-01-01\n", `{"a":{"b":[1,2.50,null,true,"x"]},"password":"hunter2"}`, "a: &a {b: 1}\nc: {<<: *a}\n",
		"--- 1\n---\n- x\n...\n", "? [a]\n: b\n", "a: !!binary aGVsbG8=\n", "x: .inf\n", "a: &a [*a]\n", "a: [0777, 0x1F, 1:30, yes, 1e3, +1]\n", "x: !y 1\n", "-0.50e+10",
		"{}", "[", "\xff", "",
	} {
		shaketest.Add(f, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, as := range []format{formatYAML, formatJSON} {
			values, err := read(as, body)
			if err != nil {
				if values != nil {
					t.Errorf("%v beside %v", values, err)
				}
				continue
			}
			if d := compare(values, values); len(d.lines) != 0 {
				t.Errorf("it differs from itself: %q", d.lines)
			}
			if text := compare(nil, values).text(); text == "" || len(text) > maxShown+maxValue {
				t.Errorf("%d bytes are shown", len(text))
			}
		}
	})
}

// FuzzNote reads any header as a fence: it is one that is written the same, or an error, and
// never none.
func FuzzNote(f *testing.F) {
	for _, seed := range []string{
		`{"epoch":"e","sequence":7,"key":"shop-1/0/1","digest":"sha256:0","done":true,"target":"eu1","write":"x"}`,
		`{"sequence":-1}`, `{"past_keys":["a/0/1"],"past_epochs":[null]}`, `[]`, `{`, ``,
	} {
		shaketest.Add(f, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s state
		found, err := s.take(bucket.Revision{Header: nats.Header{Header: {string(text)}}})
		if len(text) > 0 && !found && err == nil {
			t.Error("it was taken for none")
		}
		if !found {
			return
		}
		header, err := header(s.note)
		var again state
		if err == nil {
			_, err = again.take(bucket.Revision{Header: header})
		}
		if err != nil || len(s.note.PastKeys)+len(s.note.SealedKeys)+len(s.note.PastEpochs) == 0 && !again.note.same(s.note) {
			t.Errorf("%+v, %+v, %v", s.note, again.note, err)
		}
	})
}
