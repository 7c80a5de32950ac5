//go:build terraform

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// made is what a configuration of Terraform has made of a target.
type made struct {
	Serial  int
	Outputs struct {
		Orders struct{ Value int }
		Digest struct{ Value string }
	}
}

func madeIn(folder string) (made, error) {
	var m made
	data, err := os.ReadFile(filepath.Join(folder, "state", "terraform.tfstate"))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	return m, err
}

// infrastructure is a service that is what Terraform has made of it, and is well as long as its
// limits are sane.
func infrastructure(t *testing.T, folder string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, err := madeIn(folder)
		switch {
		case r.URL.Path == "/digest" && err == nil:
			_, _ = fmt.Fprint(w, m.Outputs.Digest.Value)
		case err != nil || m.Outputs.Orders.Value > 100:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = fmt.Fprintf(w, "%d orders", m.Outputs.Orders.Value)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// program is the Terraform that tests run with, and its version.
func program(t *testing.T) (path, version string) {
	t.Helper()
	path = os.Getenv("SHIPWARDEN_TERRAFORM")
	if path == "" {
		t.Fatal("SHIPWARDEN_TERRAFORM names no program: run tools/terraform.sh")
	}
	said, err := exec.CommandContext(t.Context(), path, "version").Output() //nolint:gosec // Whoever runs the tests names it.
	if err != nil {
		t.Fatal(err)
	}
	return path, regexp.MustCompile(`v([0-9]\S+)`).FindStringSubmatch(string(said))[1]
}

// providers is a mirror with the provider of tools/localprovider in it, and which version that is.
func providers(t *testing.T) (mirror, source, version string) {
	t.Helper()
	mirror, source = os.Getenv("SHIPWARDEN_TERRAFORM_PROVIDERS"), "shipwarden.test/hashicorp/local"
	if mirror == "" {
		t.Fatal("SHIPWARDEN_TERRAFORM_PROVIDERS names no folder: run tools/terraform.sh")
	}
	there, err := os.ReadDir(filepath.Join(mirror, source))
	if err != nil || len(there) != 1 {
		t.Fatalf("%d versions of the provider: %v", len(there), err)
	}
	return mirror, source, there[0].Name()
}

// TestAConfigurationOfTerraformIsReleasedAndABadOneIsTakenBack: two targets, each with a state of
// its own. What somebody changes on them by hand calls people within one interval.
func TestAConfigurationOfTerraformIsReleasedAndABadOneIsTakenBack(t *testing.T) {
	t.Parallel()
	binary, version := program(t)
	mirror, source, locked := providers(t)
	artifacts, folders, files := "", map[string]string{}, t.TempDir()
	y := open(t, plan{config: func(w *shop.World, cfg *rig.Config) error {
		artifacts, cfg.Reconcile = cfg.ArtifactFolder, 3*time.Second
		cfg.Procedure = bytes.ReplaceAll(cfg.Procedure, []byte("driver: host, kinds: [ARTIFACT_KIND_FILE]"), []byte("driver: terraform, kinds: [ARTIFACT_KIND_TERRAFORM_MODULE]"))
		cfg.Targets, cfg.Places = nil, nil
		for _, id := range w.Targets {
			folders[id] = filepath.Join(t.TempDir(), id)
			cfg.Targets = append(cfg.Targets, &configv1.TargetDriver{Target: id, Driver: &configv1.TargetDriver_Terraform{Terraform: &configv1.TerraformDriver{
				Folder: folders[id], Binary: binary, Version: version, Variables: map[string]string{"digest": "{digest}", "target": "{target}"}, Grace: durationpb.New(2e9),
				Protect: []string{"terraform_data.orders"}, ProviderFolder: mirror,
			}}})
			cfg.Places = append(cfg.Places, &configv1.TargetAddress{Target: id, BaseUrl: infrastructure(t, folders[id]).URL, DigestPath: "/digest"})
		}
		return nil
	}})
	configuration := func(version, text string) shop.Artifact {
		text = "variable \"digest\" { type = string }\noutput \"digest\" { value = var.digest }\n" + fmt.Sprintf(`
			terraform {
			  required_providers {
			    local = { source = %q }
			  }
			}
			variable "target" { type = string }
			resource "local_file" "limits" {
			  filename          = "%s/${var.target}"
			  sensitive_content = "pin-4711"
			}
		`, source, files) + text
		var packed bytes.Buffer
		zipped := gzip.NewWriter(&packed)
		tape := tar.NewWriter(zipped)
		var err error
		for name, text := range map[string]string{"main.tf": text, ".terraform.lock.hcl": fmt.Sprintf("provider %q {\n  version = %q\n}\n", source, locked)} {
			header := tape.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
			_, written := tape.Write([]byte(text))
			err = errors.Join(err, header, written)
		}
		name := "limits-" + version + ".tar.gz"
		err = errors.Join(err, tape.Close(), zipped.Close(), os.WriteFile(filepath.Join(artifacts, name), packed.Bytes(), 0o600))
		if err != nil {
			y.Fatal(err)
		}
		return shop.Artifact{Version: version, Location: name, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(packed.Bytes()))}
	}
	limits := func(orders int) string {
		return fmt.Sprintf("resource \"terraform_data\" \"orders\" { input = %d }\noutput \"orders\" { value = terraform_data.orders.output }\n", orders)
	}
	asked := func(orders int) func(*releasev1.Request) {
		return func(r *releasev1.Request) {
			r.GetArtifacts()[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE
			r.GetValidation().GetChecks()[0].GetHttp().ExpectBody = fmt.Sprintf("%d orders", orders)
		}
	}
	has := func(orders int, of shop.Artifact) {
		y.Helper()
		for _, id := range y.world.Targets {
			if m, err := madeIn(folders[id]); err != nil || m.Outputs.Orders.Value != orders || m.Outputs.Digest.Value != of.Digest {
				y.Errorf("%s is %+v, %v, not %d orders of %s", id, m, err, orders, of.Digest)
			}
		}
	}

	good := configuration("1.0.0", limits(7))
	released := y.release(good, "tf-1", asked(7))
	has(7, good)

	// One that is no configuration never comes to anybody's eyes.
	id := y.submit(configuration("1.1.0", "resource {"), "tf-2", asked(8))
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_REJECTED), "its own tool: init: terraform failed")

	// One that would destroy what is protected neither.
	id = y.submit(configuration("1.2.0", "output \"orders\" { value = 8 }\n"), "tf-3", asked(8))
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_REJECTED), "the plan would destroy terraform_data.orders: protected")

	// One that is well formed and wrong is taken back by its checks: what was there before is
	// planned again, and applied.
	before, err := madeIn(folders[y.world.Targets[0]])
	if err != nil {
		y.Fatal(err)
	}
	id = y.submit(configuration("1.3.0", limits(700)), "tf-4", asked(700))
	y.approve(id, "carol", "dave")
	y.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	has(7, good)
	if after, err := madeIn(folders[y.world.Targets[0]]); err != nil || after.Serial <= before.Serial {
		y.Errorf("the first target was never changed: serial %d, and %d before: %v", after.Serial, before.Serial, err)
	}

	// What somebody changes by hand is found within one interval: a file that Terraform has made, and
	// what stands in a state.
	state := filepath.Join(folders[y.world.Targets[1]], "state", "terraform.tfstate")
	text, err := os.ReadFile(state)
	if err == nil {
		err = errors.Join(os.WriteFile(state, bytes.ReplaceAll(text, []byte(`"value": 7`), []byte(`"value": 9`)), 0o600), os.Remove(filepath.Join(files, y.world.Targets[0])))
	}
	if err != nil {
		y.Fatal(err)
	}
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	y.eventually("a call for what was changed by hand", func() bool {
		r, err := recorder.GetRelease(y.Context(), &recorderv1.GetReleaseRequest{Release: released})
		return err == nil && slices.Contains(r.GetRelease().GetOpenEscalations(), releasev1.Cause_CAUSE_UNRECORDED_CHANGE)
	})
	record := ""
	y.eventually("the changes in the record", func() bool {
		record = y.record(released)
		return strings.Contains(record, "local_file.limits: it is not there as the state has it") && strings.Contains(record, "terraform_data.orders: the state does not have it as it was left")
	})
	if strings.Contains(record, "pin-4711") {
		y.Error("the record holds a value")
	}
}
