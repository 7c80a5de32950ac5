package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	only := flag.String("only", "", "make only mistakes whose name holds this text")
	jobs := flag.Int("jobs", 2, "so many at once")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: mutants [-only text] [-jobs n] <folder of the package>")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, flag.Arg(0), *only, *jobs)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}

// run makes every mistake of the folder's list whose name holds the text, and
// returns an error unless the tests found all of them.
func run(ctx context.Context, out io.Writer, folder, only string, jobs int) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	list, err := os.ReadFile(filepath.Join(folder, "mutants.txt"))
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	mutants, err := parse(string(list))
	if err != nil {
		return fmt.Errorf("mutants.txt: %w", err)
	}
	mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return !strings.Contains(m.name, only) })
	if len(mutants) == 0 {
		return errors.New("no mutant to make")
	}
	// Where the tests fail by themselves, they would seem to find everything.
	if found, output, err := test(ctx, folder, ""); err != nil || found != "" {
		return errors.Join(fmt.Errorf("the tests fail without a mistake:\n%s", output), err)
	}

	var mu sync.Mutex
	var wg sync.WaitGroup
	bad := 0
	slots := make(chan struct{}, max(jobs, 1))
	for _, m := range mutants {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			started := time.Now()
			found, err := try(ctx, folder, m)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				bad++
				fmt.Fprintf(out, "ERROR     %s (mutants.txt:%d): %v\n", m.name, m.line, err)
			case found == "":
				bad++
				fmt.Fprintf(out, "SURVIVED  %s (mutants.txt:%d)\n", m.name, m.line)
			default:
				fmt.Fprintf(out, "found     %-62s %5.1f s  %s\n", m.name, time.Since(started).Seconds(), found)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d mistakes were not found", bad, len(mutants))
	}
	fmt.Fprintf(out, "ok: the tests find all of %d mistakes\n", len(mutants))
	return nil
}

// try returns the first test that finds the mistake; empty where none does.
func try(ctx context.Context, folder string, m mutant) (string, error) {
	file := filepath.Join(folder, m.file)
	source, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	changed, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	other, overlay := filepath.Join(scratch, filepath.Base(m.file)), filepath.Join(scratch, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: other}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(other, []byte(changed), 0o644), os.WriteFile(overlay, replace, 0o644)); err != nil {
		return "", err
	}
	found, _, err := test(ctx, folder, overlay)
	return found, err
}

// slow are tests that are asked only when all others found nothing.
const slow = "^(TestAnyHistory|TestEveryStateHasAnExit)$"

var failed = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// test runs the package's tests, the slow ones last, and returns the name of a test
// that failed, with what it said.
func test(ctx context.Context, folder, overlay string) (found, output string, err error) {
	for _, which := range [][]string{{"-skip", slow}, {"-run", slow}} {
		args := append([]string{"test", "-count=1", "-failfast", "-timeout=5m"}, which...)
		if overlay != "" {
			args = append(args, "-overlay", overlay)
		}
		cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
		cmd.Dir = folder
		text, err := cmd.CombinedOutput()
		if err == nil {
			continue
		}
		if names := failed.FindAllStringSubmatch(string(text), -1); len(names) > 0 {
			return names[len(names)-1][1], string(text), nil
		}
		if strings.Contains(string(text), "panic: test timed out") {
			return "a test that did not end", string(text), nil
		}
		return "", string(text), fmt.Errorf("no test ran: %w\n%s", err, text)
	}
	return "", "", nil
}
