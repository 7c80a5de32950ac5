package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
)

func TestWhatWasPutIsGotByItsDigest(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := evidence.New(n.JetStream())
		for name, content := range map[string][]byte{
			"empty":         {},
			"short":         []byte(`{"verdict":"pass"}`),
			"many chunks":   bytes.Repeat([]byte("0123456789abcdef"), 20_000),
			"name: ünfit\n": []byte("x"),
		} {
			ref, err := s.Put(t.Context(), "application/json", name, content)
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if ref.GetSize() != int64(len(content)) || ref.GetMediaType() != "application/json" || ref.GetName() != name {
				t.Errorf("%q: reference %v", name, ref)
			}
			// Another process, which may ask a server that lags.
			got, err := evidence.New(n.JetStream()).Get(t.Context(), ref.GetDigest())
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%q: got %d bytes, %v, want %d", name, len(got), err, len(content))
			}
		}
	})
}

// What is handed out belongs to whoever asked.
func TestWhatThisProcessPutIsNotChangedByWhoeverReadsIt(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	s := evidence.New(n.JetStream())
	content := []byte("passed")
	ref, err := s.Put(t.Context(), "text/plain", "verdict", content)
	if err != nil {
		t.Fatal(err)
	}
	content[0] = 'x'
	for range 2 {
		got, err := s.Get(t.Context(), ref.GetDigest())
		if err != nil || string(got) != "passed" {
			t.Errorf("got %q, %v", got, err)
		}
		got[0] = 'y'
	}
}

func TestTheSameContentIsKeptOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := evidence.New(n.JetStream())
		content := bytes.Repeat([]byte("a"), 100_000)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				ref, err := s.Put(t.Context(), "text/plain", fmt.Sprint(i), content)
				if err == nil {
					_, err = s.Get(t.Context(), ref.GetDigest())
				}
				errs[i] = err
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		bucket, err := n.JetStream().ObjectStore(t.Context(), eventstore.BucketEvidence)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := bucket.List(t.Context())
		if err != nil || len(objects) != 1 {
			t.Errorf("%d objects, %v, want one", len(objects), err)
		}
	})
}

// The second put of a content takes the chunks of the first away.
func TestAReaderWhoseChunksAreTakenAwayReadsAgain(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		ref, err := evidence.New(n.JetStream()).Put(t.Context(), "text/plain", "verdict", []byte("passed"))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := n.JetStream().Stream(t.Context(), "OBJ_"+eventstore.BucketEvidence)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("$O."+eventstore.BucketEvidence+".C.>")); err != nil {
			t.Fatal(err)
		}
		spy := n.Connect(t)
		reading, err := spy.SubscribeSync("$JS.API.CONSUMER.CREATE.OBJ_" + eventstore.BucketEvidence + ".>")
		if err == nil {
			err = spy.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		type got struct {
			content []byte
			err     error
		}
		done := make(chan got, 1)
		go func() {
			content, err := evidence.New(n.JetStream()).Get(t.Context(), ref.GetDigest())
			done <- got{content, err}
		}()
		if _, err := reading.NextMsg(time.Minute); err != nil {
			t.Fatalf("nobody reads: %v", err)
		}
		bucket, err := n.JetStream().ObjectStore(t.Context(), eventstore.BucketEvidence)
		if err != nil {
			t.Fatal(err)
		}
		again := jetstream.ObjectMeta{Name: ref.GetDigest()[len("sha256:"):]}
		if _, err := bucket.Put(t.Context(), again, bytes.NewReader([]byte("passed"))); err != nil {
			t.Fatal(err)
		}
		if g := <-done; g.err != nil || string(g.content) != "passed" {
			t.Errorf("got %q, %v", g.content, g.err)
		}
	})
}

func TestWhatCanNotBeGivenIsRefused(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	s := evidence.New(n.JetStream())
	if _, err := s.Put(t.Context(), "text/plain", "large", make([]byte, evidence.MaxSize+1)); !errors.Is(err, evidence.ErrTooLarge) {
		t.Errorf("put of too much got %v", err)
	}
	for _, digest := range []string{"", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", evidence.Digest(nil) + "0", "sha256:../../etc/passwd"} {
		if _, err := s.Get(t.Context(), digest); !errors.Is(err, evidence.ErrDigest) {
			t.Errorf("get of %q got %v, want a malformed digest", digest, err)
		}
	}
	if _, err := s.Get(t.Context(), evidence.Digest([]byte("never put"))); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("get of what was never put got %v", err)
	}
	// Whoever is out of time before anybody has answered knows nothing.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(over, evidence.Digest([]byte("never put"))); errors.Is(err, evidence.ErrNotFound) || !errors.Is(err, context.Canceled) {
		t.Errorf("get without time got %v", err)
	}
}

func TestReplacedEvidenceIsNoticed(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := evidence.New(n.JetStream())
		ref, err := s.Put(t.Context(), "text/plain", "verdict", []byte("failed"))
		if err != nil {
			t.Fatal(err)
		}
		bucket, err := n.JetStream().ObjectStore(t.Context(), eventstore.BucketEvidence)
		if err != nil {
			t.Fatal(err)
		}
		forged := jetstream.ObjectMeta{Name: ref.GetDigest()[len("sha256:"):]}
		if _, err := bucket.Put(t.Context(), forged, bytes.NewReader([]byte("passed"))); err != nil {
			t.Fatal(err)
		}
		// A replica that has not heard of it yet gives what was put.
		natstest.Eventually(t, "what was changed is noticed", func() bool {
			got, err := evidence.New(n.JetStream()).Get(t.Context(), ref.GetDigest())
			if err == nil && string(got) != "failed" {
				t.Fatalf("what was changed is taken: %q", got)
			}
			return errors.Is(err, evidence.ErrTampered)
		})
		// Who put it knows what the digest stands for.
		if got, err := s.Get(t.Context(), ref.GetDigest()); err != nil || string(got) != "failed" {
			t.Errorf("the process that put it got %q, %v", got, err)
		}
	})
}
