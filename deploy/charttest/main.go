package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 0 where every file is in order, 1 where one is not,
// 2 for a wrong command line.
func run(paths []string, stdout, stderr io.Writer) int {
	if len(paths) < 2 {
		fmt.Fprintln(stderr, "charttest: name a procedure document and the files that helm template wrote")
		return 2
	}
	procedure, err := os.ReadFile(paths[0])
	if err != nil {
		fmt.Fprintln(stderr, "charttest:", err)
		return 2
	}
	status := 0
	for _, path := range paths[1:] {
		problems, err := examine(path, string(procedure))
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, p := range problems {
			fmt.Fprintf(stderr, "%s: %s\n", path, p)
			status = 1
		}
		if len(problems) == 0 {
			fmt.Fprintf(stdout, "%s: in order\n", path)
		}
	}
	return status
}

// examine returns what is wrong with the manifests in a file.
func examine(path, procedure string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	chart, err := parse(data)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, r := range rules {
		for _, p := range r.check(chart) {
			problems = append(problems, fmt.Sprintf("%s (%s)", p, r.reason))
		}
	}
	dir, err := os.MkdirTemp("", "charttest-")
	if err != nil {
		return problems, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	problems = append(problems, configurations(chart, procedure, dir)...)
	return append(problems, commands(chart, filepath.Join(dir, "command"))...), nil
}

// rule is one thing that holds for every rendering of the chart.
type rule struct {
	reason string
	check  func(chart) []string
}

var rules = []rule{
	{"the four services are scaled and stopped each by itself", everyServiceIsThere},
	{"a service that is taken over must not get any further", podsAreLockedDown},
	{"the services need nothing of Kubernetes, so nobody gets a token", noTokens},
	{"a pod that asks for nothing is the first to be killed, and one without a limit takes all", podsHaveResources},
	{"traffic and restarts follow what the service says about itself", podsAreProbed},
	{"services refuse a secret that everyone on the machine may read", secretsAreForTheGroup},
	{"an empty list of peers means everybody", policiesNamePeers},
	{"only the recorder has a database", onlyTheRecorderHasADatabase},
	{"a selector without a match selects nobody", selectorsMatch},
	{"objects are found by their standard labels", objectsAreLabeled},
}
