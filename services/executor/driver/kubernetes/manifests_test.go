package kubernetes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/kubernetes"
)

// nobody is a kubeconfig of a server that is not there.
const nobody = `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: test, user: {token: hunter2hunter2}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`

func offline(t *testing.T, kubeconfig string) *kubernetes.Driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := kubernetes.New(&configv1.KubernetesDriver{KubeconfigFile: path, Namespace: "shop"}, kubernetes.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhatDoesNotBelongIntoTheNamespaceIsRefusedBeforeAnybodyIsAsked(t *testing.T) {
	d := offline(t, nobody)
	for name, test := range map[string]struct {
		manifests string
		want      error
	}{
		"nothing":               {"# a comment\n---\n", driver.ErrInvalid},
		"no YAML":               {"{", driver.ErrInvalid},
		"a key twice":           {"{apiVersion: v1, kind: ConfigMap, kind: Service, metadata: {name: a}}", driver.ErrInvalid},
		"no kind":               {"{apiVersion: v1, metadata: {name: a}}", driver.ErrInvalid},
		"no version":            {"{kind: ConfigMap, metadata: {name: a}}", driver.ErrInvalid},
		"no name":               {"{apiVersion: v1, kind: ConfigMap, metadata: {generateName: a}}", driver.ErrInvalid},
		"another namespace":     {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}}", driver.ErrUnsupported},
		"a secret":              {"{apiVersion: v1, kind: Secret, metadata: {name: a}}", driver.ErrUnsupported},
		"a secret in a list":    {"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, metadata: {name: a}}]}", driver.ErrUnsupported},
		"a job":                 {"{apiVersion: batch/v1, kind: Job, metadata: {name: a}}", driver.ErrUnsupported},
		"an anchor":             {"{apiVersion: v1, kind: ConfigMap, metadata: &a {name: a}}", driver.ErrUnsupported},
		"an alias":              {bomb, driver.ErrUnsupported},
		"more after an end":     {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n...\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}", driver.ErrInvalid},
		"too much to be kept":   {swelling, driver.ErrUnsupported},
		"the record":            {"{apiVersion: v1, kind: ConfigMap, metadata: {name: shipwarden-shop-1}}", driver.ErrInvalid},
		"what is kept":          {"{apiVersion: v1, kind: ConfigMap, metadata: {name: shipwarden-shop-1-0123}}", driver.ErrInvalid},
		"the same twice":        {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", driver.ErrInvalid},
		"labels that are none":  {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {version: 2}}}", driver.ErrInvalid},
		"metadata that is none": {"{apiVersion: v1, kind: ConfigMap, metadata: a}", driver.ErrInvalid},
		"an owner":              {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [{name: b}]}}", driver.ErrInvalid},
		"what a server counts":  {`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, resourceVersion: "7"}}`, driver.ErrInvalid},
		"too much":              {"# " + strings.Repeat("a", 4<<20) + "\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", driver.ErrUnsupported},
		"too many":              {many(501), driver.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			p := driver.Plan{Target: "shop-1", Artifact: drivertest.File("shop", "shop.yaml", []byte(test.manifests))}
			if got, err := d.Diff(t.Context(), p); !errors.Is(err, test.want) {
				t.Errorf("got %+v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// What a reader of YAML says of a fault has what stands there, which may be a secret: people
// and the record get the place and the kind.
func TestAnErrorOfManifestsNamesThePlaceAndNoContent(t *testing.T) {
	d := offline(t, nobody)
	for name, test := range map[string]struct{ manifests, want string }{
		"no YAML":                {"a: b\nhunter2 hunter2\n", "near line 2: no YAML"},
		"a character":            {"a: @hunter2", "no YAML"},
		"an alias of nothing":    {"a: *hunter2", "no YAML"},
		"a tag":                  {"a: !!int hunter2", "no YAML"},
		"a key twice":            {"a:\n  hunter2: b\n  hunter2: c\n", "line 3: a name is there twice"},
		"a key that is no text":  {"? [hunter2]\n: b", "no YAML"},
		"a key of another kind":  {"{? {hunter2: a} : b}", "no YAML"},
		"no kind":                {"password: hunter2", "has no kind"},
		"a text":                 {"hunter2", "has no kind"},
		"items that are none":    {"{apiVersion: v1, kind: List, items: [hunter2]}", ""},
		"items without a kind":   {"{apiVersion: v1, kind: List, items: [{password: hunter2}]}", ""},
		"a merge":                {"a: {<<: hunter2}", ""},
		"a second document":      {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\nhunter2: [", "manifest 2: near line"},
		"bytes that are no text": {"a: \"hunter2\xff\"", "no YAML"},
		"a long separator":       {"--- hunter2\na: b", ""},
		"a version":              {"{apiVersion: [hunter2], kind: ConfigMap, metadata: {name: a}}", ""},
		"a name":                 {"{apiVersion: v1, kind: ConfigMap, metadata: {name: {a: hunter2}}}", ""},
		"labels":                 {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {a: [hunter2]}}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := driver.Plan{Target: "shop-1", Artifact: drivertest.File("shop", "shop.yaml", []byte(test.manifests))}
			got, err := d.Diff(t.Context(), p)
			if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %+v, %v; want something of %q and no secret", got, err, test.want)
			}
		})
	}
}

// bomb is short as it is written, and what it stands for fits nowhere.
const bomb = `apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  a: &a [x, x, x, x, x, x, x, x, x, x]
  b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
  c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
  d: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
`

// swelling is six times as long as it is kept, and short again when it is packed.
var swelling = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: \"" + strings.Repeat("<", 1<<20) + "\"}}"

func TestAJobIsRefusedByItsNameAndByWhatToDoInstead(t *testing.T) {
	p := driver.Plan{Target: "shop-1", Artifact: drivertest.File("shop", "shop.yaml", []byte("{apiVersion: batch/v1, kind: Job, metadata: {name: migrate}}"))}
	_, err := offline(t, nobody).Diff(t.Context(), p)
	for _, want := range []string{"Job migrate", "no state that can be placed", "driver command"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in %v", want, err)
		}
	}
}

func many(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a%d}}\n", i)
	}
	return all.String()
}

func TestWhatIsNoManifestIsNotTaken(t *testing.T) {
	d := offline(t, nobody)
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, a := range []*releasev1.Artifact{
		{Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Digest: digest},
		{Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE, Location: "shop.zip", Digest: digest},
	} {
		if _, err := d.Preview(t.Context(), driver.Plan{Artifact: artifact.New(a, 0, nil)}); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("%s %s: %v", a.GetKind(), a.GetLocation(), err)
		}
	}
}

func TestEveryFaultOfTheConfigurationIsNamed(t *testing.T) {
	_, err := kubernetes.New(&configv1.KubernetesDriver{
		KubeconfigFile: "kubeconfig", Namespace: "Shop", Timeout: durationpb.New(-1), Installation: "EU 1",
	}, kubernetes.Options{Target: "shop-"})
	for _, want := range []string{"kubeconfig_file:", "namespace:", "target:", "timeout:", "installation:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s in %v", want, err)
		}
	}
}

func TestAKubeconfigThatHasAProgramRunIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ kubeconfig, want string }{
		"a program":    {strings.Replace(nobody, "token: hunter2hunter2", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true, interactiveMode: Never}", 1), "program"},
		"a plugin":     {strings.Replace(nobody, "token: hunter2hunter2", "auth-provider: {name: gcp}", 1), "plugin"},
		"no context":   {strings.Replace(nobody, "current-context: test", "current-context: other", 1), "no current context"},
		"no check":     {strings.Replace(nobody, "server:", "insecure-skip-tls-verify: true, server:", 1), "https://"},
		"no TLS":       {strings.Replace(nobody, "https://", "http://", 1), "https://"},
		"no YAML":      {"hunter2hunter2: {", "is not a kubeconfig"},
		"no authority": {strings.Replace(nobody, `server: "https://127.0.0.1:1"`, `server: "https://127.0.0.1:1", certificate-authority: /hunter2hunter2`, 1), "not complete"},
		"no file":      {strings.Replace(nobody, "token: hunter2hunter2", "client-certificate: none, client-key: none", 1), "not complete"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := offline(t, test.kubeconfig).Running(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want something of %q and no secret", err, test.want)
			}
		})
	}
}
