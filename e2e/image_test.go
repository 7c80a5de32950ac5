package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

// The image of a service is built from the folders that its module replaces, so that
// it holds no line of another service. Docker says what is missing only when it
// builds; this test says it at once.
func TestTheImageCopiesWhatTheServicesAreMadeOf(t *testing.T) {
	text := readFile(t, "../Dockerfile")
	_, stage, found := strings.Cut(text, " AS build-service\n")
	stage, _, ends := strings.Cut(stage, "\nFROM ")
	if !found || !ends {
		t.Fatal("no stage build-service")
	}
	var copied []string
	for _, m := range regexp.MustCompile(`(?m)^COPY (\S+) (\S+)$`).FindAllStringSubmatch(stage, -1) {
		if m[1] != m[2] {
			t.Errorf("%s is copied to %s", m[1], m[2])
		}
		copied = append(copied, m[1])
	}
	for _, m := range workspace(t) {
		name, isService := strings.CutPrefix(m.dir, "services/")
		if !isService {
			continue
		}
		if !strings.Contains(stage, "|"+name+"|") && !strings.Contains(stage, " "+name+"|") && !strings.Contains(stage, "|"+name+")") {
			t.Errorf("SERVICE=%s is refused", name)
		}
		want := []string{"services/${SERVICE}"}
		for _, r := range m.file.Replace {
			local := strings.TrimPrefix(r.New.Path, "../../")
			want = append(want, local)
			if line := fmt.Sprintf("COPY %[1]s/go.mod %[1]s/go.sum %[1]s/\n", local); !strings.Contains(text, line) {
				t.Errorf("%s needs %q", name, line)
			}
		}
		slices.Sort(want)
		slices.Sort(copied)
		if !slices.Equal(want, copied) {
			t.Errorf("%s is made of %v, the image of %v", name, want, copied)
		}
	}
}

func TestTheImageIsBuiltWithAToolchainThatIsNewEnough(t *testing.T) {
	m := regexp.MustCompile(`(?m)^ARG GO_VERSION=(\S+)$`).FindStringSubmatch(readFile(t, "../Dockerfile"))
	if m == nil {
		t.Fatal("no GO_VERSION")
	}
	if wanted := workspace(t)[0].file.Go.Version; semver.Compare("v"+m[1], "v"+wanted) < 0 {
		t.Errorf("the image is built with Go %s, go.mod asks for %s", m[1], wanted)
	}
}

func TestNoStageOfTheImageRunsAsRoot(t *testing.T) {
	text := readFile(t, "../Dockerfile")
	stages := regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(text, -1)
	for _, s := range stages {
		if (s[2] == "service" || s[2] == "command") && s[1] != "base" {
			t.Errorf("stage %s is made of %s, not of base", s[2], s[1])
		}
	}
	if len(stages) == 0 || stages[len(stages)-1][2] != "service" {
		t.Error("the last stage is not the service")
	}
	if !strings.Contains(text, " AS base\nUSER 65532:65532\n") {
		t.Error("base has no user")
	}
}
