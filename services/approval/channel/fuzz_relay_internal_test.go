package channel

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/shaketest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// FuzzRelay has a mail relay that answers with any bytes. Whatever it says, there is one
// answer in words of our own, nobody is said to be reached whom the mail was not for, and
// nothing is taken for delivered that it did not take.
func FuzzRelay(f *testing.F) {
	const taken = "220 relay\r\n250-relay\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n221 bye\r\n"
	shaketest.Add(f, []byte(taken))
	shaketest.Add(f, []byte(strings.Replace(taken, "250 taken", "451 later", 1)))
	shaketest.Add(f, []byte(strings.Replace(taken, "250 ok\r\n354", "550 nobody secret@shop.example\r\n354", 1)))
	shaketest.Add(f, []byte("220 relay\r\n250-relay\r\n250 STARTTLS\r\n220 go on\r\n\x16\x03\x01"))
	shaketest.Add(f, []byte("554 no\r\n"))
	shaketest.Add(f, []byte("220-\r\n220-\r\n"))
	shaketest.Add(f, []byte("999999999999999999999 x\r\n"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	var mu sync.Mutex
	var says []byte
	var wait sync.WaitGroup
	f.Cleanup(func() { _ = listener.Close(); wait.Wait() })
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				mu.Lock()
				script := says
				mu.Unlock()
				_, _ = conn.Write(script)
				if c, ok := conn.(*net.TCPConn); ok {
					_ = c.CloseWrite()
				}
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	made, err := newPost(Config{
		Name: "mail", URL: "smtp://" + listener.Addr().String(), Timeout: 5 * time.Second,
		Mail: &configv1.Mail{From: "ship@shop.example", To: []string{"all@shop.example"}, People: map[string]string{"anna": "anna@shop.example", "ben": "ben@shop.example"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	body, err := made.body(notify.Message{Key: "k", Subject: "Release starts", Text: "soon", People: []string{"anna"}, Time: time.Unix(1_800_000_000, 0)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		mu.Lock()
		says = script
		mu.Unlock()
		a := made.attempt(t.Context(), "k", body)
		if a.delivered && (a.again || a.ambiguous || !strings.Contains(string(script), "354") || strings.Count(string(script), "250") < 3) {
			t.Errorf("delivered: %+v", a)
		}
		if len(a.reached) > 0 && (!a.delivered || !slices.Equal(a.reached, []string{"anna"})) {
			t.Errorf("reached: %+v", a)
		}
		if a.text == "" || len(a.text) > 256 || strings.ContainsAny(a.text, "\r\n") || strings.Contains(a.text, "@") {
			t.Errorf("it says %q", a.text)
		}
	})
}
