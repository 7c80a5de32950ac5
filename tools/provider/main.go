// Command provider is an OpenID Connect provider that tests run as a process of its own:
// the certified one of github.com/zitadel/oidc, of which discovery, keys, the device
// authorization flow, refreshing and the tokens themselves are. It imports nothing of
// Shipwarden, so that what the services and the command take is what a provider writes
// and not what we believe that one does.
//
// What is here is what every user of that library brings along: people, clients, and a
// ring of keys. It listens on a free port of this machine, prints its issuer as the first
// line, and then does what the lines of its standard input say, answering each with one
// line (see command). It ends with its standard input.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// pollEvery is how often a device may ask: as seldom as RFC 8628 can say in seconds.
const pollEvery = time.Second

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String()
	shelf, err := newShelf()
	if err != nil {
		return err
	}
	config := &op.Config{
		CodeMethodS256: true, GrantTypeRefreshToken: true,
		DeviceAuthorization: op.DeviceAuthorizationConfig{
			Lifetime: 5 * time.Minute, PollInterval: pollEvery, UserFormPath: "/device", UserCode: op.UserCodeBase20,
		},
	}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return err
	}
	config.CryptoKeyId = "opaque-tokens"
	provider, err := op.NewProvider(config, shelf, op.StaticIssuer(issuer), op.WithAllowInsecure(),
		op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/device", shelf.form)
	mux.Handle("/", provider)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintln(out, issuer)
	told := make(chan string)
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			told <- lines.Text()
		}
	}()
	for {
		select {
		case err := <-failed:
			return err
		case line, more := <-told:
			if !more {
				return server.Close()
			}
			fmt.Fprintln(out, shelf.command(line))
		}
	}
}
