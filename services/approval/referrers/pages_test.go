package referrers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/referrers/referrerstest"
)

// pages is a registry that lists what refers to an image on pages of one manifest each.
type pages struct {
	registry http.Handler
	// media is the media type of a page, link what its header says of the next one, given
	// where that is; after what becomes of a page, by its number.
	media string
	link  func(next string) []string
	after func(w http.ResponseWriter, number int) bool
	asked int
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, "/referrers/") {
		p.registry.ServeHTTP(w, r)
		return
	}
	p.asked++
	whole := httptest.NewRecorder()
	p.registry.ServeHTTP(whole, r)
	var list struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(whole.Body.Bytes(), &list); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// It has them in another order each time.
	slices.SortFunc(list.Manifests, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	number, _ := strconv.Atoi(r.URL.Query().Get("last"))
	if p.after != nil && p.after(w, number) {
		return
	}
	if number+1 < len(list.Manifests) {
		for _, value := range p.link(fmt.Sprintf("%s?last=%d", r.URL.Path, number+1)) {
			w.Header().Add("Link", value)
		}
	}
	list.Manifests = list.Manifests[min(number, len(list.Manifests)):min(number+1, len(list.Manifests))]
	w.Header().Set("Content-Type", p.media)
	_ = json.NewEncoder(w).Encode(list)
}

const indexType = "application/vnd.oci.image.index.v1+json"

// plain is how a link is mostly written.
func plain(next string) []string { return []string{"<" + next + `>; rel="next"`} }

// TestEveryPageIsRead: the statement that matters may be on the last, and whatever says
// that there is more and cannot be followed is no end of the list.
func TestEveryPageIsRead(t *testing.T) {
	p := &pages{
		registry: registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)), registry.WithReferrersSupport(true)),
		media:    indexType, link: plain,
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a server was asked for %s to which the registry sent", r.URL)
	}))
	t.Cleanup(elsewhere.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	a, subject := image(t, host)
	for i := range 3 {
		referrerstest.Attach(t, a.GetLocation(), subject, dsse, fmt.Append(nil, "statement ", i))
	}
	f := finder(t, host, strings.TrimPrefix(elsewhere.URL, "http://"))
	links := func(values ...string) func(string) []string {
		return func(next string) []string {
			var out []string
			for _, v := range values {
				out = append(out, strings.ReplaceAll(v, "NEXT", next))
			}
			return out
		}
	}
	for _, test := range []struct {
		name  string
		media string
		link  func(string) []string
		after func(http.ResponseWriter, int) bool
		want  error
		text  string
		pages int
	}{
		{"as the specification has it", indexType, plain, nil, nil, "", 3},
		{"with a parameter of the media type", indexType + "; charset=utf-8", plain, nil, nil, "", 3},
		{"without quotes, among others", indexType, links(`</v2/>; rel=first, <NEXT>;title="a, b";  REL=Next, <x>; rel=last`), nil, nil, "", 3},
		{"in a header of its own", indexType, links(`</v2/>; rel="up"`, `<NEXT>; rel="prefetch next"`), nil, nil, "", 3},
		{"by its whole address", indexType, links("<" + server.URL + `NEXT>; rel="next"`), nil, nil, "", 3},
		{"by the address behind TLS", indexType, links("<https://" + host + `NEXT>; rel="next"`), nil, nil, "", 3},
		{"elsewhere", indexType, links("<" + elsewhere.URL + `NEXT>; rel="next"`), nil, referrers.ErrUnreachable, "no other page of the list", 1},
		{"of something else", indexType, links(`</v2/shop/web/tags/list?last=1>; rel="next"`), nil, referrers.ErrUnreachable, "no other page of the list", 1},
		{"that is the same", indexType, links(`<?>; rel="next"`), nil, referrers.ErrUnreachable, "no other page of the list", 1},
		{"twice", indexType, links(`<NEXT>; rel="next", <NEXT0>; rel="next"`), nil, referrers.ErrUnreachable, "no other page of the list", 1},
		{"that nobody can read", indexType, links(`NEXT; rel="next"`), nil, referrers.ErrUnreachable, "which nobody can read", 1},
		{"that ends in the middle", indexType, links(`<NEXT>; rel="next`), nil, referrers.ErrUnreachable, "which nobody can read", 1},
		{"of another type", "application/json", plain, nil, referrers.ErrUnreachable, "where a list of manifests is expected", 1},
		{"of no type", "", plain, nil, referrers.ErrUnreachable, "where a list of manifests is expected", 1},
		{"of which one is gone", indexType, plain, func(w http.ResponseWriter, number int) bool {
			if number == 2 {
				w.WriteHeader(http.StatusNotFound)
			}
			return number == 2
		}, referrers.ErrUnreachable, "status 404", 3},
		{"of which one fails", indexType, plain, func(w http.ResponseWriter, number int) bool {
			if number == 1 {
				w.WriteHeader(http.StatusBadGateway)
			}
			return number == 1
		}, referrers.ErrUnreachable, "status 502", 2},
		{"of which one is no list", indexType, plain, func(w http.ResponseWriter, number int) bool {
			if number == 1 {
				w.Header().Set("Content-Type", indexType)
				_, _ = w.Write([]byte(`{"errors":[]}`))
			}
			return number == 1
		}, referrers.ErrUnreachable, "no list of manifests", 2},
		{"without an end", indexType, plain, func(w http.ResponseWriter, number int) bool {
			w.Header().Set("Content-Type", indexType)
			w.Header().Set("Link", fmt.Sprintf(`<?last=%d>; rel="next"`, number+1))
			_, _ = w.Write([]byte(`{"schemaVersion":2,"manifests":[]}`))
			return true
		}, referrers.ErrBounds, "more than 64 pages", 64},
		{"with more than is looked through", indexType, plain, func(w http.ResponseWriter, number int) bool {
			w.Header().Set("Content-Type", indexType)
			w.Header().Set("Link", fmt.Sprintf(`<?last=%d>; rel="next"`, number+1))
			one := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"` + a.GetDigest() + `"}`
			_, _ = w.Write([]byte(`{"schemaVersion":2,"manifests":[` + strings.Repeat(one+",", 511) + one + `]}`))
			return true
		}, referrers.ErrBounds, "more than 1024 manifests", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.media, p.link, p.after, p.asked = test.media, test.link, test.after, 0
			found, err := f.Find(t.Context(), a, nil)
			if !errors.Is(err, test.want) || (err == nil) != (len(found) == 3) || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("%q, %v", found, err)
			}
			if p.asked != test.pages {
				t.Errorf("it was asked for %d pages", p.asked)
			}
		})
	}
}

// TestATagThatIsNoListIsNoAbsence has a registry without the API, and something else under
// the tag by which its tools keep the list.
func TestATagThatIsNoListIsNoAbsence(t *testing.T) {
	host := serve(t, false, nil)
	a, _ := image(t, host)
	tag, err := name.NewTag(a.GetLocation()+":"+strings.Replace(a.GetDigest(), ":", "-", 1), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, empty.Image); err != nil {
		t.Fatal(err)
	}
	if found, err := finder(t, host).Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) || !strings.Contains(err.Error(), "list of manifests") {
		t.Errorf("%q, %v", found, err)
	}
}
