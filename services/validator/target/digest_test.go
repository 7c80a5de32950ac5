package target_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

func TestRunningDigest(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	tests := []struct {
		name, body string
		status     int
		want       string // empty: the target did not tell
	}{
		{"the bare digest", digest, 200, digest},
		{"the bare digest on a line", digest + "\n", 200, digest},
		{"an object", `{"digest": "` + digest + `"}`, 200, digest},
		{"an object with more in it", `{"version":"1.2.3","parts":[{"digest":"x"}],"digest":"` + digest + `"}` + "\n", 200, digest},
		{"nothing", "", 200, ""},
		{"upper case", strings.ToUpper(digest), 200, ""},
		{"another algorithm", `{"digest":"md5:0a"}`, 200, ""},
		{"too short", digest[:70], 200, ""},
		{"two digests", digest + " " + digest, 200, ""},
		{"an object without it", `{"version":"1.2.3"}`, 200, ""},
		{"an object that names it twice", `{"digest":"` + digest + `","digest":"` + digest + `"}`, 200, ""},
		{"not a string", `{"digest":7}`, 200, ""},
		{"null", `{"digest":null}`, 200, ""},
		{"an object cut short", `{"digest":"` + digest + `"`, 200, ""},
		{"something after the object", `{"digest":"` + digest + `"}}`, 200, ""},
		{"two objects", `{"digest":"` + digest + `"}{}`, 200, ""},
		{"a page for people", "<html>" + digest + "</html>", 200, ""},
		{"the right text under the wrong status", digest, 500, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/digest" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(tt.status)
				w.Write([]byte(tt.body))
			}))
			defer server.Close()
			got, err := at(t, server).RunningDigest(t.Context())
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("RunningDigest = %q, %v, want %q", got, err, tt.want)
			}
			if err != nil && !errors.Is(err, target.ErrNotSeen) {
				t.Errorf("RunningDigest = %v, want %v", err, target.ErrNotSeen)
			}
		})
	}
}

func TestATargetWithoutADigestPath(t *testing.T) {
	looked := newTarget(t, &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://127.0.0.1:1"})
	if _, err := looked.RunningDigest(t.Context()); !errors.Is(err, target.ErrNoDigest) {
		t.Errorf("RunningDigest = %v, want %v", err, target.ErrNoDigest)
	}
}
