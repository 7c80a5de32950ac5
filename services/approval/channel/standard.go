package channel

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/blackdice/shipwarden/services/approval/notify"
)

// How long a signing secret is, in bytes, as Standard Webhooks says.
const (
	minSigning = 24
	maxSigning = 64
)

var errSigning = fmt.Errorf("%w: a signing secret is \"whsec_\" and %d to %d bytes in base64", ErrSecrets, minSigning, maxSigning)

// standardBody is a notice as Standard Webhooks has events: what happened, when, and
// all of it.
func standardBody(m notify.Message) ([]byte, error) {
	return json.Marshal(struct {
		Type      string  `json:"type"`
		Timestamp string  `json:"timestamp"`
		Data      content `json:"data"`
	}{"shipwarden.notice." + m.Occasion, m.Time.UTC().Format(time.RFC3339Nano), contentOf(m)})
}

// signing signs every request with every secret, in their order: while one is being
// replaced, receivers that know either take it. The time that is signed is that of the
// attempt, since receivers refuse old ones; the id is the key, by which they see a
// repetition for what it is.
func signing(secrets []string) (dress, error) {
	var signers []*standardwebhooks.Webhook
	for i, secret := range secrets {
		// The library takes anything, and an error of its own may hold what it was given.
		raw, ok := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(raw)
		if !ok || err != nil || len(key) < minSigning || len(key) > maxSigning {
			return nil, fmt.Errorf("[%d]: %w", i, errSigning)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, errSigning)
		}
		signers = append(signers, signer)
	}
	return func(now time.Time, key string, base *url.URL, body []byte) ([]outgoing, error) {
		var all []string
		for _, signer := range signers {
			signature, err := signer.Sign(key, now, body)
			if err != nil {
				return nil, errors.New("sign")
			}
			all = append(all, signature)
		}
		header := http.Header{}
		header.Set(standardwebhooks.HeaderWebhookID, key)
		header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
		header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(all, " "))
		return []outgoing{{url: base.String(), body: body, header: header}}, nil
	}, nil
}
