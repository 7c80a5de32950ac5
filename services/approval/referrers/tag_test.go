package referrers_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/referrers/referrerstest"
)

const provenance = "https://slsa.dev/provenance/v1"

// TestStatementsUnderCosignsTagAreFound where nothing that refers to the image is a
// statement, in registries with the API and without it, of images and of charts.
func TestStatementsUnderCosignsTagAreFound(t *testing.T) {
	for _, api := range []bool{true, false} {
		host := serve(t, api, nil)
		a, subject := image(t, host)
		referrerstest.Tag(t, a.GetLocation(), a.GetDigest(),
			referrerstest.Layer{MediaType: dsse, PredicateType: provenance, Content: []byte("first")},
			referrerstest.Layer{MediaType: dsse, Content: []byte("second")},
			referrerstest.Layer{MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: []byte("a signature")})
		referrerstest.Attach(t, a.GetLocation(), subject, "application/spdx+json", []byte("what it is made of"))
		found, err := finder(t, host).Find(t.Context(), a, nil)
		if err != nil || len(found) != 2 || !bytes.Contains(bytes.Join(found, nil), []byte("first")) {
			t.Errorf("API %v: %q, %v", api, found, err)
		}
		referrerstest.Attach(t, a.GetLocation(), subject, dsse, []byte("a referrer"))
		if found, err = finder(t, host).Find(t.Context(), a, nil); err != nil || string(bytes.Join(found, []byte(","))) != "a referrer" {
			t.Errorf("API %v, where there are referrers: %q, %v", api, found, err)
		}
		location := host + "/charts/shop"
		chart := referrerstest.Chart(t, location, []byte("an archive"))
		packed := &releasev1.Artifact{Name: "chart", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, Location: location + ":1.4.2", Digest: chart.Digest.String()}
		referrerstest.Tag(t, location, packed.GetDigest(), referrerstest.Layer{MediaType: dsse, Content: []byte("of the chart")})
		if found, err = finder(t, host).Find(t.Context(), packed, nil); err != nil || string(bytes.Join(found, nil)) != "of the chart" {
			t.Errorf("API %v, a chart: %q, %v", api, found, err)
		}
		referrerstest.Attach(t, location, chart, dsse, []byte("a referrer of the chart"))
		if found, err = finder(t, host).Find(t.Context(), packed, nil); err != nil || string(bytes.Join(found, nil)) != "a referrer of the chart" {
			t.Errorf("API %v, a chart with a referrer: %q, %v", api, found, err)
		}
	}
}

// TestWhatIsUnderCosignsTagIsBounded: a bill of materials that no gate asks for may be of any
// size, and is not read; what may matter and is not taken in is said.
func TestWhatIsUnderCosignsTagIsBounded(t *testing.T) {
	host := serve(t, true, nil)
	large := bytes.Repeat([]byte("x"), referrers.MaxSize+1)
	for _, test := range []struct {
		name   string
		layers []referrerstest.Layer
		found  int
		want   error
	}{
		{"large, of another type", []referrerstest.Layer{{MediaType: dsse, PredicateType: "https://spdx.dev/Document", Content: large}, {MediaType: dsse, PredicateType: provenance, Content: []byte("small")}}, 1, nil},
		{"large, of a type that is asked for", []referrerstest.Layer{{MediaType: dsse, PredicateType: provenance, Content: large}}, 0, referrers.ErrBounds},
		{"large, of no type", []referrerstest.Layer{{MediaType: dsse, Content: large}}, 0, referrers.ErrBounds},
		{"as many as are taken in", many(referrers.MaxStatements), referrers.MaxStatements, nil},
		{"one more", many(referrers.MaxStatements + 1), 0, referrers.ErrBounds},
	} {
		a, _ := image(t, host)
		referrerstest.Tag(t, a.GetLocation(), a.GetDigest(), test.layers...)
		found, err := finder(t, host).Find(t.Context(), a, []string{provenance})
		if len(found) != test.found || !errors.Is(err, test.want) {
			t.Errorf("%s: %d statements, %v", test.name, len(found), err)
		}
	}
}

func many(n int) []referrerstest.Layer {
	var out []referrerstest.Layer
	for i := range n {
		out = append(out, referrerstest.Layer{MediaType: dsse, Content: fmt.Append(nil, "statement ", i)})
	}
	return out
}

// TestATagThatCannotBeReadIsNoAbsence: nobody knows what is there.
func TestATagThatCannotBeReadIsNoAbsence(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusForbidden, http.StatusTooManyRequests, http.StatusTemporaryRedirect} {
		shut := false
		host := serve(t, true, func(w http.ResponseWriter, r *http.Request) bool {
			if shut && strings.HasSuffix(r.URL.Path, ".att") {
				w.Header().Set("Location", "https://elsewhere.example/")
				w.WriteHeader(status)
				return true
			}
			return false
		})
		a, _ := image(t, host)
		shut = true
		if found, err := finder(t, host).Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) || found != nil {
			t.Errorf("%d: %q, %v", status, found, err)
		}
	}
	host := serve(t, true, nil)
	a, _ := image(t, host)
	repository, err := name.NewRepository(a.GetLocation(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repository.Tag(strings.Replace(a.GetDigest(), ":", "-", 1)+".att"), empty.Index); err != nil {
		t.Fatal(err)
	}
	if found, err := finder(t, host).Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) || found != nil {
		t.Errorf("an index: %q, %v", found, err)
	}
}
