package channel_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/promtest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

// A real Alertmanager takes what it is told, shows it under its labels once though it is
// told twice, and lets it go when somebody takes it on.
func TestRealAlertmanager(t *testing.T) {
	server := promtest.StartAlertmanager(t)
	base := server.URL
	c := open(t, configv1.ChannelAddress_KIND_ALERTMANAGER, base, func(c *channel.Config) { c.URL, c.Now = base, time.Now })
	raised, taken := alarm()
	raised.Time, raised.Until = time.Now(), time.Now().Add(10*time.Minute)
	for range 2 {
		if receipt, _ := send(t.Context(), c, raised); !receipt.GetDelivered() {
			t.Fatalf("receipt %v", receipt)
		}
	}
	type shown struct {
		Labels map[string]string
		EndsAt time.Time
	}
	read := func() (all []shown) {
		t.Helper()
		server.Get(t, "/api/v2/alerts?active=true", &all)
		return all
	}
	if all := read(); len(all) != 1 || all[0].Labels["notice"] != raised.Key || all[0].EndsAt.Sub(raised.Until).Abs() > time.Second {
		t.Fatalf("it shows %v", all)
	}
	taken.Time, taken.Alarms = time.Now(), taken.Alarms[:1]
	if receipt, _ := send(t.Context(), c, taken); !receipt.GetDelivered() {
		t.Fatalf("receipt %v", receipt)
	}
	for limit := time.Now().Add(20 * time.Second); len(read()) > 0; {
		if time.Now().After(limit) {
			t.Fatalf("it still shows %v", read())
		}
		<-time.After(50 * time.Millisecond)
	}
}
