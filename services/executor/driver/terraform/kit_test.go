//go:build terraform

package terraform_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

// binaryEnv names the program; without it the script is asked, which builds it where it is not
// there.
const binaryEnv = "SHIPWARDEN_TERRAFORM"

// middleEnv makes the test binary an executor that applies what lies in a folder, and that
// somebody kills.
const middleEnv = "SHIPWARDEN_TERRAFORM_TEST_MIDDLE"

// patience is how long one call may take on a busy machine, its grace included.
const patience = 3 * time.Minute

// The executors that die are this test binary; they use the program of the one that started
// them.
func TestMain(m *testing.M) {
	if os.Getenv(binaryEnv) == "" {
		path, err := exec.Command("../../../../tools/terraform.sh", "--path").Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "tools/terraform.sh:", err)
			os.Exit(1)
		}
		_ = os.Setenv(binaryEnv, strings.TrimSpace(string(path)))
	}
	if folder := os.Getenv(middleEnv); folder != "" {
		middle(folder)
		return
	}
	drivertest.Main(m, drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			return terraform.New(config(folder), options(at))
		},
		Plan: func(folder string, version int) driver.Plan { return plan(version, shop(folder)) },
	})
}

func middle(folder string) {
	text, err := os.ReadFile(filepath.Join(folder, "main.tf"))
	if err != nil {
		panic(err)
	}
	d, err := terraform.New(config(folder), options(nil))
	if err != nil {
		panic(err)
	}
	key, f := driver.ApplyKey("shop-1", 0, 1), at(10)
	if r, err := d.Running(context.Background()); r != "" || err != nil {
		key, f = driver.ApplyKey("shop-10", 0, 1), at(100)
	}
	_, err = d.Apply(context.Background(), key, f, plan(1, string(text)))
	fmt.Fprintln(os.Stderr, err)
}

func binary() string { return os.Getenv(binaryEnv) }

// said is what the program says of itself: its name and its version.
var said = sync.OnceValue(func() string {
	out, err := exec.Command(binary(), "version").Output()
	if err != nil {
		panic(err)
	}
	return string(out)
})

func version() string {
	return regexp.MustCompile(`v([0-9]\S+)`).FindStringSubmatch(said())[1]
}

func options(at func(string)) terraform.Options {
	return terraform.Options{Target: "shop-1", At: at, LockWait: 2 * time.Second}
}

func config(folder string) *configv1.TerraformDriver {
	return &configv1.TerraformDriver{
		Folder: filepath.Join(folder, "shop"), Binary: binary(), Version: version(),
		Variables: map[string]string{"release": "{version}"}, Grace: durationpb.New(5 * time.Second),
	}
}

// shop is a configuration whose resource writes down which version it was made for. It calls
// nothing that it would have to find by a path.
func shop(folder string) string {
	return fmt.Sprintf(`
variable "release" { type = string }
resource "terraform_data" "shop" {
  input            = var.release
  triggers_replace = [var.release]
  provisioner "local-exec" {
    command = "echo ${var.release} >> '%s'"
  }
}
output "release" { value = terraform_data.shop.output }
`, filepath.Join(folder, "app"))
}

// archive is a tar.gz of files, the same each time.
func archive(files map[string]string) []byte {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	tape := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := tape.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(tape, files[name])
		}
		if err != nil {
			panic(err)
		}
	}
	if err := errors.Join(tape.Close(), zipped.Close()); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// plan releases a configuration as a version; the text tells versions of one text apart.
func plan(version int, text string) driver.Plan {
	return planOf(version, map[string]string{"main.tf": fmt.Sprintf("# version %d\n%s", version, text)})
}

func planOf(version int, files map[string]string) driver.Plan {
	content := archive(files)
	a := &releasev1.Artifact{
		Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE, Location: fmt.Sprintf("shop/%d/shop.tar.gz", version),
		Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)),
	}
	return driver.Plan{
		Target: "shop-1", Version: fmt.Sprintf("%d.0.0", version),
		Artifact: artifact.New(a, int64(len(content)), func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}),
	}
}

func open(t *testing.T, c *configv1.TerraformDriver, o terraform.Options) *terraform.Driver {
	t.Helper()
	d, err := terraform.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func at(sequence uint64) driver.Fence { return driver.Fence{Epoch: "e1", Sequence: sequence} }

// lines are what the application wrote down.
func lines(t *testing.T, folder string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "app"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// state is the state file.
type state struct {
	Serial    uint64
	Lineage   string
	Resources []struct {
		Type, Name string
		Instances  []struct {
			Status     string
			Attributes map[string]any
		}
	}
}

func (s state) names() []string {
	var names []string
	for _, r := range s.Resources {
		names = append(names, r.Type+"."+r.Name)
	}
	slices.Sort(names)
	return names
}

func stateOf(t *testing.T, folder string) state {
	t.Helper()
	var s state
	data, err := os.ReadFile(statePath(folder))
	// An empty one is what a program leaves that was killed before it wrote any.
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &s)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return s
}

func statePath(folder string) string {
	return filepath.Join(folder, "shop", "state", "terraform.tfstate")
}
