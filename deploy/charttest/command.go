package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/blackdice/shipwarden/cli/command"
)

// commands looks whether the command understands what the chart's Jobs tell it, and
// whether the files that it is told of are mounted below dir.
func commands(c chart, dir string) []string {
	var out []string
	for _, job := range c.of("Job") {
		p := job.Spec.Template.Spec
		for _, k := range p.Containers {
			if err := mount(c, p, nil, dir); err != nil {
				out = append(out, fmt.Sprintf("%s: %v", job, err))
			}
			for _, named := range fileName.FindAllString(strings.Join(k.Args, "\n"), -1) {
				if _, err := os.Stat(filepath.Join(dir, named)); err != nil {
					out = append(out, fmt.Sprintf("%s: %s is named and not mounted", job, named))
				}
			}
			if problem := misunderstood(k.Args); problem != "" {
				out = append(out, fmt.Sprintf("%s: %s", job, problem))
			}
		}
	}
	return out
}

// misunderstood says in what the command does not understand its arguments. They are
// followed by --help, so that nothing is done.
func misunderstood(args []string) string {
	var says, complains bytes.Buffer
	status := command.Main(context.Background(), append(append([]string{}, args...), "--help"), command.Process{
		In: &bytes.Buffer{}, Out: &says, Err: &complains, Width: func() int { return 0 }, Getenv: func(string) string { return "" },
	})
	if status != 0 {
		return "shipwarden does not understand its arguments: " + complains.String()
	}
	var words []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
		}
	}
	// Asked for help with what it does not know, it tells about what it does.
	if usage := "shipwarden " + strings.Join(words, " "); !strings.Contains(says.String(), usage) {
		return usage + " is no command"
	}
	return ""
}
