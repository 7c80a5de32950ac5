package kubetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of a test. It is long because machines that run tests are often
// short of processors.
const patience = 2 * time.Minute

// Client speaks to the API server as one identity, in JSON. Several goroutines may use it.
type Client struct {
	url, token string
	http       *http.Client
}

// Client is a client of the identity.
func (c *Cluster) Client(who Identity) *Client {
	return &Client{url: c.URL, token: c.keys.tokens[who], http: &http.Client{
		Timeout: time.Minute,
		// Nothing stays open, so that a cluster that was stopped leaves nothing behind.
		Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.keys.pool, MinVersion: tls.VersionTLS13},
		},
	}}
}

// Do sends content, where it is not nil, and returns the status and the object of the
// answer, which is a Status where the request was refused. An error means that there was no
// answer.
func (c *Client) Do(ctx context.Context, method, path string, content map[string]any) (int, map[string]any, error) {
	body := new(bytes.Buffer)
	if content != nil {
		if err := json.NewEncoder(body).Encode(content); err != nil {
			return 0, nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]any
	if json.Unmarshal(text, &answer) != nil {
		answer = map[string]any{"message": string(text)}
	}
	return response.StatusCode, answer, nil
}

// Must is Do, and fails the test when the request is refused or has no answer.
func (c *Client) Must(t testing.TB, method, path string, content map[string]any) map[string]any {
	t.Helper()
	status, answer, err := c.Do(t.Context(), method, path, content)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if status/100 != 2 {
		t.Fatalf("%s %s: status %d: %v", method, path, status, answer["message"])
	}
	return answer
}

// Status is the status of the answer, 0 where there is none.
func (c *Client) Status(t testing.TB, method, path string, content map[string]any) int {
	t.Helper()
	return c.status(t.Context(), method, path, content)
}

func (c *Client) status(ctx context.Context, method, path string, content map[string]any) int {
	status, _, err := c.Do(ctx, method, path, content)
	if err != nil {
		return 0
	}
	return status
}

// hasCondition says whether the condition of an object is true.
func (c *Client) hasCondition(ctx context.Context, path, condition string) bool {
	_, answer, err := c.Do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return false
	}
	all, _ := Field(answer, "status", "conditions").([]any)
	for _, one := range all {
		if Field(one, "type") == condition && Field(one, "status") == "True" {
			return true
		}
	}
	return false
}

// Field is what lies in an object under the keys, which are names in objects and places in
// lists; nil where one of them leads nowhere.
func Field(in any, keys ...any) any {
	for _, key := range keys {
		switch k := key.(type) {
		case string:
			fields, _ := in.(map[string]any)
			in = fields[k]
		case int:
			if list, _ := in.([]any); k < len(list) {
				in = list[k]
			} else {
				in = nil
			}
		default:
			return nil
		}
	}
	return in
}

// Eventually polls holds until it returns true, and fails the test with what was waited for
// when that takes longer than two minutes.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain: %s", patience, what)
		case <-ticker.C:
		}
	}
}

// Namespace makes a namespace that Executor and Validator may work in, and returns its name
// when pods can be made there. It is deleted after the test, and nobody waits for that.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	admin, name := c.Client(Admin), "test-"+strings.ToLower(rand.Text()[:10])
	admin.Must(t, http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": name}})
	t.Cleanup(func() {
		_, _, _ = admin.Do(context.WithoutCancel(t.Context()), http.MethodDelete, "/api/v1/namespaces/"+name, nil)
	})
	for _, who := range []Identity{Executor, Validator} {
		admin.Must(t, http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+name+"/rolebindings", lets(who))
	}
	Eventually(t, "pods can be made in "+name, func() bool { return admin.Status(t, http.MethodGet, account(name), nil) == http.StatusOK })
	// The last thing that the cluster puts there by itself: nobody is to take it for the work of who is tested.
	Eventually(t, "the certificates are in "+name, func() bool {
		return admin.Status(t, http.MethodGet, "/api/v1/namespaces/"+name+"/configmaps/kube-root-ca.crt", nil) == http.StatusOK
	})
	// Servers hear of what they allow a moment after it is there.
	for _, who := range []Identity{Executor, Validator} {
		Eventually(t, string(who)+" may read in "+name, func() bool {
			return c.Client(who).Status(t, http.MethodGet, "/api/v1/namespaces/"+name+"/configmaps", nil) == http.StatusOK
		})
	}
	return name
}
