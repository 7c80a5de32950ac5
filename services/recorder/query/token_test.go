package query

import (
	"errors"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

func FuzzPageTokensAreRefusedOrGood(f *testing.F) {
	shaketest.Add(f, token{Question: "q", Requested: 1772441999000000, Release: "shop-a"}.encode())
	shaketest.Add(f, token{Question: "q", Sequence: 7}.encode())
	shaketest.Add(f, "e30")
	shaketest.Add(f, "")
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
