package cluster

import (
	"errors"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/blackdice/shipwarden/internal/argv"
)

// maxTold bounds what is said of an error, in bytes.
const maxTold = 600

// Told is an error as people and the record may read it: in short, without what looks like a
// secret, and without the values that the server has refused and quotes.
func Told(err error) error { return told{err} }

type told struct{ error }

func (t told) Unwrap() error { return t.error }

func (t told) Error() string {
	text := t.error.Error()
	if status := apierrors.APIStatus(nil); errors.As(t.error, &status) && status.Status().Reason == metav1.StatusReasonInvalid && status.Status().Details != nil {
		said := status.Status()
		var why []string
		for _, cause := range said.Details.Causes {
			// The value stands before the last colon.
			why = append(why, cause.Field+": "+strings.TrimSpace(cause.Message[strings.LastIndex(cause.Message, ": ")+1:]))
		}
		text = strings.ReplaceAll(text, said.Message, strings.Join(why, ", "))
	}
	clean, _ := argv.Redact([]byte(text))
	if len(clean) > maxTold {
		return strings.ToValidUTF8(string(clean[:maxTold]), "") + "…"
	}
	return string(clean)
}

// Address is the URL of a server without credentials.
func Address(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a server whose address cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
