package channel_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

// A real Alertmanager takes what it is told, shows it under its labels once though it is
// told twice, and lets it go when somebody takes it on.
func TestRealAlertmanager(t *testing.T) {
	base := alertmanager(t)
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
		get(t, base+"/api/v2/alerts?active=true", &all)
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

func get(t *testing.T, url string, into any) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(into) == nil
}

// alertmanager starts the program of .bin, or of PATH, and returns its address.
func alertmanager(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../../../.bin/alertmanager")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("alertmanager"); err != nil {
			t.Fatal("there is no Alertmanager: tools/setup.sh alertmanager finds or installs it")
		}
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "--config.file="+config, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	if err := command.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait()
	})
	var status any
	for limit := time.Now().Add(30 * time.Second); !get(t, "http://"+address+"/api/v2/status", &status); {
		if time.Now().After(limit) {
			t.Fatal("Alertmanager does not answer")
		}
		<-time.After(50 * time.Millisecond)
	}
	return "http://" + address
}
