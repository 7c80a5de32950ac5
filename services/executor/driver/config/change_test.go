package config_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/natstest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
)

func at(sequence uint64) driver.Fence { return driver.Fence{Epoch: "e1", Sequence: sequence} }

// from is a plan that places a version where another document was.
func from(before string, version int) driver.Plan {
	p := plan(version)
	p.Previous = digest(before)
	return p
}

// release places a version under a fence of its own, and must succeed.
func release(t *testing.T, w *world, version uint8, before string) {
	t.Helper()
	if _, err := w.open(t, nil).Apply(t.Context(), driver.ApplyKey(fmt.Sprintf("shop-%d", version), 0, 1), at(10*uint64(version)), from(before, int(version))); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasWrittenByHandIsNotOverwritten(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	const byHand = "limits: {orders: 99}\n"
	for _, test := range []struct {
		name string
		call func(ctx context.Context, d *config.Driver) error
	}{
		{"by the next release", func(ctx context.Context, d *config.Driver) error {
			_, err := d.Apply(ctx, driver.ApplyKey("shop-3", 0, 1), at(30), from(document(2), 3))
			return err
		}},
		{"by the release itself, again", func(ctx context.Context, d *config.Driver) error {
			_, err := d.Apply(ctx, driver.ApplyKey("shop-2", 0, 2), at(30), from(document(1), 2))
			return err
		}},
		{"by the way back", func(ctx context.Context, d *config.Driver) error {
			_, err := d.Rollback(ctx, driver.RollbackKey("shop-2", 0, 1), at(30), from(document(1), 2))
			return err
		}},
	} {
		for _, hand := range []string{byHand, ""} {
			t.Run(fmt.Sprintf("%s: %.6q", test.name, hand), func(t *testing.T) {
				w := newWorld(t, n, 8)
				release(t, w, 1, "")
				release(t, w, 2, document(1))
				if hand == "" {
					if err := w.kv.Delete(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				} else {
					w.put(t, hand)
				}
				if err := test.call(t.Context(), w.open(t, nil)); !errors.Is(err, driver.ErrConflict) {
					t.Errorf("got %v, want %v", err, driver.ErrConflict)
				}
				if got := w.value(t); got != hand {
					t.Errorf("the bucket has %q", got)
				}
				if got, err := w.open(t, nil).Running(t.Context()); got != digest(hand) || err != nil {
					t.Errorf("running %q, %v", got, err)
				}
			})
		}
	}
}

func TestAWriteByHandBetweenReadingAndWritingIsNotOverwritten(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		for _, point := range []string{config.PointRead, config.PointAdmitted, config.PointChecked} {
			w := newWorld(t, n, 8)
			release(t, w, 1, "")
			d := w.open(t, func(p string) {
				if p == point {
					w.put(t, "by: hand\n")
				}
			})
			if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("at %s: got %v, want %v", point, err, driver.ErrConflict)
			}
			if got := w.value(t); got != "by: hand\n" {
				t.Errorf("at %s: the bucket has %q", point, got)
			}
		}
	})
}

func TestWhatWasWrittenByHandAndShownInThePreviewIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	w.put(t, "by: hand\n")
	release(t, w, 1, "by: hand\n")
	if got := w.value(t); got != document(1) {
		t.Errorf("the bucket has %q", got)
	}
	if _, err := w.open(t, nil).Rollback(t.Context(), driver.RollbackKey("shop-1", 0, 1), at(10), from("by: hand\n", 1)); err != nil {
		t.Error(err)
	}
	if got := w.value(t); got != "by: hand\n" {
		t.Errorf("back: the bucket has %q", got)
	}
}

func TestAFenceOutlivesWhatIsWrittenByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	release(t, w, 2, "")
	stale := func() error {
		_, err := w.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), from("by: hand\n", 1))
		return err
	}
	w.put(t, "by: hand\n")
	if err := stale(); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("got %v, want %v", err, driver.ErrStaleFence)
	}
	// As often as the bucket keeps revisions: then nobody can tell who was there.
	for range 7 {
		w.put(t, "by: hand\n")
	}
	if err := stale(); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "let the bucket keep more") {
		t.Errorf("got %v, want %v", err, driver.ErrConflict)
	}
	if got := w.value(t); got != "by: hand\n" {
		t.Errorf("the bucket has %q", got)
	}
}

// TestAFenceThatWasTakenAwayLetsNobodyIn: whoever purges the key takes the fence away, and a
// sleeper with an old one must not be the next to come in.
func TestAFenceThatWasTakenAwayLetsNobodyIn(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		for name, takeAway := range map[string]func(t *testing.T, w *world) error{
			"a purge": func(t *testing.T, w *world) error { return w.kv.Purge(t.Context(), key) },
			"a purge, and a write by hand": func(t *testing.T, w *world) error {
				err := w.kv.Purge(t.Context(), key)
				w.put(t, document(2))
				return err
			},
			"a deletion of which one revision is kept": func(t *testing.T, w *world) error {
				err := w.kv.Delete(t.Context(), key)
				w.tidy(t)
				return err
			},
			"a write by hand of which one revision is kept": func(t *testing.T, w *world) error {
				w.put(t, document(2))
				w.tidy(t)
				return nil
			},
		} {
			w := newWorld(t, n, 8)
			release(t, w, 2, "")
			if err := takeAway(t, w); err != nil {
				t.Fatal(err)
			}
			before := w.value(t)
			d := w.open(t, nil)
			for _, previous := range []string{"", "gone: 1\n", document(2)} {
				if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), from(previous, 1)); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "write the document with the header Shipwarden-Target: {}") {
					t.Errorf("%s: apply: %v, want %v", name, err, driver.ErrConflict)
				}
			}
			if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-1", 0, 1), at(10), from(document(2), 1)); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("%s: rollback: %v, want %v", name, err, driver.ErrConflict)
			}
			if _, err := d.Seal(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10)); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("%s: seal: %v, want %v", name, err, driver.ErrConflict)
			}
			if _, err := d.Preview(t.Context(), from(before, 3)); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("%s: preview: %v, want %v", name, err, driver.ErrConflict)
			}
			if got := w.value(t); got != before {
				t.Errorf("%s: the bucket has %q", name, got)
			}
			// Somebody who has seen to it that nobody is at work says so.
			if _, err := w.JetStream().PublishMsg(t.Context(), header("$KV."+w.Bucket+"."+key, "{}", document(2))); err != nil {
				t.Fatal(err)
			}
			release(t, w, 3, document(2))
		}
	})
}

// TestADocumentThatIsGoneWithoutATraceIsMissed: the stream was purged, or the bucket made anew.
func TestADocumentThatIsGoneWithoutATraceIsMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	if _, err := w.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("got %v, want %v", err, driver.ErrConflict)
	}
	if n := len(w.history(t)); n != 0 {
		t.Errorf("%d revisions", n)
	}
}

// TestABucketThatWasMadeAnewLetsNobodyIn: it has the document that the record knows, and no
// fence, or one of before: whoever sleeps since must not be the next to come in.
func TestABucketThatWasMadeAnewLetsNobodyIn(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		for name, copied := range map[string]bool{"with a document that was written by hand": false, "with what was copied": true} {
			w := newWorld(t, n, 8)
			release(t, w, 2, "")
			w.Synced(t, "KV_"+w.Bucket)
			old, err := w.kv.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			message := nats.NewMsg("$KV." + w.Bucket + "." + key)
			stream, err := w.JetStream().Stream(t.Context(), "KV_"+w.Bucket)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := stream.GetMsg(t.Context(), old.Revision())
			if err != nil {
				t.Fatal(err)
			}
			if message.Data = raw.Data; copied {
				message.Header.Set(config.Header, raw.Header.Get(config.Header))
			}
			if err := w.JetStream().DeleteKeyValue(t.Context(), w.Bucket); err != nil {
				t.Fatal(err)
			}
			if w.kv, err = n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: w.Bucket, History: 8, Replicas: n.Replicas()}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.JetStream().PublishMsg(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			d, stale := w.open(t, nil), from(document(2), 3)
			stale.PreviousVersion = "2.0.0"
			if _, err := d.Preview(t.Context(), stale); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("%s: preview: %v", name, err)
			}
			if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), stale); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "write the document with the header Shipwarden-Target: {}") {
				t.Errorf("%s: apply: %v", name, err)
			}
			if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-3", 0, 1), at(30), stale); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("%s: rollback: %v", name, err)
			}
			if got := w.history(t); len(got) != 1 || w.value(t) != document(2) {
				t.Errorf("%s: %d revisions, %q", name, len(got), w.value(t))
			}
			message.Header.Set(config.Header, "{}")
			if _, err := w.JetStream().PublishMsg(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-4", 0, 1), at(40), stale); err != nil {
				t.Errorf("%s: when somebody has said that nobody is at work: %v", name, err)
			}
		}
	})
}

func TestAHeaderThatCannotBeReadLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	m := header("$KV."+w.Bucket+"."+key, "{", document(1))
	if _, err := w.JetStream().PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if _, err := w.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("got %v, want %v", err, driver.ErrConflict)
	}
	if got := w.value(t); got != document(1) {
		t.Errorf("the bucket has %q", got)
	}
}

func TestAnEntryOfAnotherTargetIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	release(t, w, 1, "")
	other, err := config.New(w.config(), config.Options{Target: "till-config"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Apply(t.Context(), driver.ApplyKey("till-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("apply: %v", err)
	}
	if _, err := other.Seal(t.Context(), driver.ApplyKey("till-2", 0, 1), at(20)); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("seal: %v", err)
	}
	if n := len(w.history(t)); n != 1 {
		t.Errorf("%d revisions", n)
	}
}

func TestASealLeavesTheDocumentAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	d := w.open(t, nil)
	if _, err := d.Seal(t.Context(), driver.ApplyKey("shop-0", 0, 1), at(5)); err != nil {
		t.Fatal(err)
	}
	if got := w.value(t); got != "" {
		t.Errorf("of nothing the seal made %q", got)
	}
	if got, err := d.Running(t.Context()); got != "" || err != nil {
		t.Errorf("running %q, %v", got, err)
	}
	release(t, w, 1, "")
	w.put(t, "by: hand\n")
	if _, err := d.Seal(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20)); err != nil {
		t.Fatal(err)
	}
	if got := w.value(t); got != "by: hand\n" {
		t.Errorf("the bucket has %q", got)
	}
	// It is still somebody else's.
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), from(document(1), 3)); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("got %v, want %v", err, driver.ErrConflict)
	}
}

func TestNothingPushesTheWayBackOutOfTheHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	release(t, w, 1, "")
	release(t, w, 2, document(1))
	d := w.open(t, nil)
	for i := range uint32(6) {
		if _, err := d.Seal(t.Context(), driver.RollbackKey("shop-2", 0, i+1), at(uint64(21+i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Seal(t.Context(), driver.RollbackKey("shop-2", 0, 7), at(27)); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "let it keep more") {
		t.Errorf("got %v", err)
	}
	if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 8), at(28), from(document(1), 2)); err != nil {
		t.Error(err)
	}
	if got := w.value(t); got != document(1) {
		t.Errorf("the bucket has %q", got)
	}
}

// TestAnEffectThatIsCompleteIsDoneHoweverOftenItIsTakenOver: whoever takes over must not take
// back a good release because the bucket has no room for saying that it was asked for again.
func TestAnEffectThatIsCompleteIsDoneHoweverOftenItIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	release(t, w, 1, "")
	if run, err := w.open(t, nil).DryRunRollback(t.Context(), from(document(1), 2)); err != nil || !run.Possible {
		t.Fatalf("%+v, %v", run, err)
	}
	release(t, w, 2, document(1))
	takeOver := func(attempt uint32) {
		t.Helper()
		result, err := w.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-2", 0, attempt), at(uint64(20+attempt)), from(document(1), 2))
		if err != nil || !result.Repeated || result.Digest != digest(document(2)) {
			t.Errorf("attempt %d: %+v, %v", attempt, result, err)
		}
	}
	for attempt := uint32(2); attempt < 12; attempt++ {
		takeOver(attempt)
	}
	// Nor where somebody has it keep less, afterwards.
	stream, err := w.JetStream().Stream(t.Context(), "KV_"+w.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	less := stream.CachedInfo().Config
	less.MaxMsgsPerSubject = 2
	if _, err := w.JetStream().UpdateStream(t.Context(), less); err != nil {
		t.Fatal(err)
	}
	takeOver(12)
	// Whoever was kept away before still is.
	if _, err := w.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), plan(1)); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("got %v, want %v", err, driver.ErrStaleFence)
	}
	if got := w.value(t); got != document(2) {
		t.Errorf("the bucket has %q", got)
	}
}

// TestAWayBackThatNobodyWentIsFinishedWhateverItPushesOut: what it goes back to is there.
func TestAWayBackThatNobodyWentIsFinishedWhateverItPushesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	release(t, w, 1, "")
	release(t, w, 2, document(1))
	d := w.open(t, nil)
	for i := range uint32(6) {
		if _, err := d.Seal(t.Context(), driver.ApplyKey("shop-3", 0, i+1), at(uint64(30+i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-3", 0, 1), at(40), from(document(2), 3)); err != nil {
		t.Error(err)
	}
	// It keeps away whoever slept.
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-3", 0, 9), at(39), from(document(2), 3)); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("got %v, want %v", err, driver.ErrStaleFence)
	}
}

func TestABucketOfFewRevisionsIsRefusedBeforeAnythingIsPlaced(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	for _, history := range []uint8{1, 2, 7} {
		w := newWorld(t, n, history)
		w.put(t, document(1))
		d := w.open(t, nil)
		run, err := d.DryRunRollback(t.Context(), from(document(1), 2))
		if err != nil || run.Possible || run.Source != releasev1.RollbackProof_SOURCE_TARGET {
			t.Errorf("%d: %+v, %v", history, run, err)
		}
		if _, err := d.Preview(t.Context(), from(document(1), 2)); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "must keep 8") {
			t.Errorf("%d: preview: %v", history, err)
		}
		if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "must keep 8") {
			t.Errorf("%d: apply: %v", history, err)
		}
		if got := w.value(t); got != document(1) {
			t.Errorf("%d: the bucket has %q", history, got)
		}
	}
}

func TestAWayBackThatIsGoneIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	release(t, w, 1, "")
	release(t, w, 2, document(1))
	w.tidy(t)
	d := w.open(t, nil)
	if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrNoWayBack) {
		t.Errorf("got %v, want %v", err, driver.ErrNoWayBack)
	}
	if run, err := d.DryRunRollback(t.Context(), from(document(1), 2)); err != nil || run.Possible {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestBucketsInWhichNoDocumentCanStayAreRefused(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	for name, bucket := range map[string]jetstream.KeyValueConfig{
		"entries go away": {Bucket: "ttl", History: 8, TTL: time.Hour},
		"a mirror":        {Bucket: "copy", History: 8, Mirror: &jetstream.StreamSource{Name: "KV_none"}},
		"no bucket":       {},
	} {
		if bucket.Bucket != "" {
			if _, err := n.JetStream().CreateKeyValue(t.Context(), bucket); err != nil {
				t.Fatal(err)
			}
		} else {
			bucket.Bucket = "missing"
		}
		d := opened(t, place{URL: n.URL(), Bucket: bucket.Bucket}.config(), nil)
		if _, err := d.Preview(t.Context(), plan(1)); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("%s: preview %v", name, err)
		}
		if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), plan(1)); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("%s: apply %v", name, err)
		}
	}
}

func TestABucketThatIsFullIsSeenBeforeAndRefuses(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	create := func(name string, bytes int64) *world {
		kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, History: 8, MaxBytes: bytes})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{Server: n, place: place{URL: n.URL(), Bucket: name}, kv: kv}
		w.put(t, document(1))
		return w
	}
	fill := func(w *world, bytes int) {
		if _, err := w.kv.Put(t.Context(), "other", make([]byte, bytes)); err != nil {
			t.Fatal(err)
		}
	}
	w := create("full", 64<<10)
	d := w.open(t, nil)
	if run, err := d.DryRunRollback(t.Context(), from(document(1), 2)); err != nil || !run.Possible {
		t.Errorf("with room: %+v, %v", run, err)
	}
	fill(w, 43<<10) // There is room for one of two.
	if run, err := d.DryRunRollback(t.Context(), from(document(1), 2)); err != nil || run.Possible || !strings.Contains(run.Reason, "the bucket is full") {
		t.Errorf("room for one: %+v, %v", run, err)
	}
	if _, err := d.Preview(t.Context(), from(document(1), 2)); err != nil {
		t.Errorf("room for one: %v", err)
	}
	fill(w, 10<<10)
	if _, err := d.Preview(t.Context(), from(document(1), 2)); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "the bucket is full") {
		t.Errorf("no room: preview %v", err)
	}
	// It is filled between the last look and the write: nothing was written, and that is known.
	w = create("filled", 64<<10)
	d = w.open(t, func(point string) {
		if point == config.PointChecked {
			fill(w, 64<<10-1000)
		}
	})
	large := planOf("2", "limits.yaml", "text: "+strings.Repeat("x", 2000))
	large.Previous = digest(document(1))
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), large); !errors.Is(err, driver.ErrInvalid) || errors.Is(err, driver.ErrUnknown) || !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Errorf("filled: %v, want %v", err, driver.ErrInvalid)
	}
	if got := w.value(t); got != document(1) {
		t.Errorf("the bucket has %q", got)
	}
}

// TestAWayBackThatDoesNotFitIsSaidBefore: a document that was written by hand, without a header.
func TestAWayBackThatDoesNotFitIsSaidBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	d := w.open(t, nil)
	for _, test := range []struct {
		size int
		fits bool
	}{{128<<10 - 12<<10, true}, {128<<10 - 12<<10 + 1, false}, {128<<10 - 300, false}} {
		byHand := "text: " + strings.Repeat("x", test.size-6)
		w.put(t, byHand)
		run, err := d.DryRunRollback(t.Context(), from(byHand, 2))
		if err != nil || run.Possible != test.fits || !test.fits && !strings.Contains(run.Reason, "the bucket takes 118784 beside what is noted of it") {
			t.Errorf("%d bytes: %+v, %v", test.size, run, err)
		}
		p, err := d.Preview(t.Context(), from(byHand, 2))
		if err != nil || p.RollbackReady != test.fits {
			t.Errorf("%d bytes: %+v, %v", test.size, p, err)
		}
	}
}

// TestABucketWithoutABoundIsNotReadToItsEnd: it may have more than anybody reads in time.
func TestABucketWithoutABoundIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	if _, err := n.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "KV_endless", Subjects: []string{"$KV.endless.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.JetStream().Publish(t.Context(), "$KV.endless."+key, []byte(document(1))); err != nil {
		t.Fatal(err)
	}
	d := opened(t, place{URL: n.URL(), Bucket: "endless"}.config(), nil)
	for what, call := range map[string]func() error{
		"preview": func() error { _, err := d.Preview(t.Context(), from(document(1), 2)); return err },
		"probe":   func() error { _, err := d.Probe(t.Context(), driver.ApplyKey("shop-2", 0, 1)); return err },
		"seal": func() error {
			_, err := d.Seal(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20))
			return err
		},
		"apply": func() error {
			_, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2))
			return err
		},
	} {
		if err := call(); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "bound its history") {
			t.Errorf("%s: %v, want %v", what, err, driver.ErrInvalid)
		}
	}
	if run, err := d.DryRunRollback(t.Context(), from(document(1), 2)); err != nil || run.Possible || !strings.Contains(run.Reason, "bound its history") {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestADocumentAsLargeAsTheServerTakes(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newWorld(t, n, 8)
		d := w.open(t, nil)
		large := "text: " + strings.Repeat("x", 128<<10-(12<<10)-6)
		if _, err := d.Preview(t.Context(), planOf("1", "limits.yaml", large)); err != nil {
			t.Error(err)
		}
		if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), planOf("1", "limits.yaml", large)); err != nil {
			t.Error(err)
		}
		if got := w.value(t); got != large {
			t.Errorf("the bucket has %d bytes", len(got))
		}
		if got, err := d.Running(t.Context()); got != digest(large) || err != nil {
			t.Errorf("running %q, %v", got, err)
		}
		larger := planOf("2", "limits.yaml", large+"x")
		if _, err := d.Preview(t.Context(), larger); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "bytes") {
			t.Errorf("one more: preview %v", err)
		}
		if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), larger); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("one more: apply %v", err)
		}
	})
}
