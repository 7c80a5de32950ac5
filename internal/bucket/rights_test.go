package bucket_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/internal/natsserver"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestTheRightsOfTheDocumentsAreEnough: those that docs/drivers.md names, and no others.
func TestTheRightsOfTheDocumentsAreEnough(t *testing.T) {
	server, err := natsserver.Start(t.Context(), natsserver.Config{StoreDir: t.TempDir(), Users: []natsserver.User{
		{Name: "admin", Password: "a"},
		{Name: "executor", Password: "e", Subscribe: []string{"_INBOX_executor.>"}, Publish: []string{
			"$JS.API.STREAM.MSG.GET.KV_limits", "$JS.API.STREAM.INFO.KV_limits", "$KV.limits.shop.orders",
		}},
		{Name: "validator", Password: "v", Subscribe: []string{"_INBOX_validator.>"}, Publish: []string{"$JS.API.STREAM.MSG.GET.KV_limits"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	ready, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	if err := server.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	admin, err := nats.Connect(server.ClientURL(), nats.UserInfo("admin", "a"), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	js, err := jetstream.New(admin)
	if err == nil {
		_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "limits", History: 8})
	}
	if err != nil {
		t.Fatal(err)
	}
	as := func(user, password, key string) *bucket.Entry {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := bucket.New(user, &configv1.ConfigEntry{
			Nats: &configv1.Nats{Urls: []string{server.ClientURL()}, User: user, PasswordFile: file}, Bucket: "limits", Key: key,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	executor := as("executor", "e", "shop.orders")
	if _, err := executor.Limits(t.Context()); err != nil {
		t.Error(err)
	}
	first, err := executor.Put(t.Context(), bucket.Write{Value: []byte("1"), Present: true})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := executor.History(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	validator := as("validator", "v", "shop.orders")
	if r, err := validator.Last(t.Context()); err != nil || r.Sequence != first {
		t.Errorf("%+v, %v", r, err)
	}
	for what, e := range map[string]*bucket.Entry{"the validator": validator, "another key": as("executor", "e", "shop.other")} {
		if _, err := e.Last(t.Context()); err != nil { // and so is connected
			t.Errorf("%s: %v", what, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, err := e.Put(ctx, bucket.Write{After: first, Value: []byte("2"), Present: true}); !errors.Is(err, bucket.ErrUnanswered) {
			t.Errorf("%s: %v", what, err)
		}
		cancel()
	}
	if r, err := executor.Last(t.Context()); err != nil || r.Sequence != first {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}
