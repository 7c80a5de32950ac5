// Command natsd is the NATS server of a chaos run: a process of its own, so that it
// can be killed and started again on its store. It syncs every write.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/blackdice/shipwarden/internal/natsserver"
)

func main() {
	store := flag.String("store", "", "folder of the streams")
	port := flag.Int("port", 0, "port to listen on")
	users := flag.String("users", "", "JSON file with the users and their passwords")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *store, *port, *users)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, store string, port int, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var users map[string]string
	if err := json.Unmarshal(text, &users); err != nil {
		return err
	}
	cfg := natsserver.Config{Name: "chaos", StoreDir: store, Port: port, SyncAlways: true}
	for name, password := range users {
		cfg.Users = append(cfg.Users, natsserver.User{Name: name, Password: password})
	}
	server, err := natsserver.Start(ctx, cfg)
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
