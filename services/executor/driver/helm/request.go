package helm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// maxBody is the most of a request or an answer that is looked at, in bytes.
const maxBody = 8 << 20

// with is the request with another body.
func with(r *http.Request, content any) (*http.Request, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	other := r.Clone(r.Context())
	other.Body, other.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	other.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	if other.Header.Get("Content-Type") == "" || r.Method == http.MethodDelete {
		other.Header.Set("Content-Type", "application/json")
	}
	return other, nil
}

// put is the request that replaces what another one would create.
func put(r *http.Request, o *unstructured.Unstructured) (*http.Request, error) {
	other, err := with(r, o.Object)
	if err != nil {
		return nil, err
	}
	other.Method = http.MethodPut
	other.URL.Path += "/" + o.GetName()
	return other, nil
}

func read(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if len(text) > maxBody {
		return nil, fmt.Errorf("more than %d bytes: %w", maxBody, driver.ErrUnsupported)
	}
	return text, err
}
