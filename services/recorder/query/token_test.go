package query

import (
	"errors"
	"testing"
)

func FuzzPageTokensAreRefusedOrGood(f *testing.F) {
	f.Add(token{Question: "q", Requested: 1772441999000000, Release: "shop-a"}.encode())
	f.Add(token{Question: "q", Sequence: 7}.encode())
	f.Add("e30")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decode(text, "q")
		if err != nil {
			if !errors.Is(err, errPageToken) {
				t.Errorf("error %v", err)
			}
			return
		}
		if _, err := got.position(); err != nil && !errors.Is(err, errPageToken) {
			t.Errorf("error %v", err)
		}
		if _, err := got.before(); err != nil && !errors.Is(err, errPageToken) {
			t.Errorf("error %v", err)
		}
	})
}
