package submit_test

import (
	"testing"

	"github.com/blackdice/shipwarden/cli/submit"
	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzLoad has request files of any bytes: each is refused, or a request.
func FuzzLoad(f *testing.F) {
	shaketest.Add(f, []byte("service: shop\nversion: \"1\"\nplan: {waves: [{targets: [eu1]}]}\n"))
	shaketest.Add(f, []byte(`{"service":"shop","service":"shop"}`))
	shaketest.Add(f, []byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if request, err := submit.Load(data, "release.yaml", nil); (request == nil) != (err != nil) {
			t.Errorf("%v, %v", request, err)
		}
	})
}
