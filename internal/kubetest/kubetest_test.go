//go:build kubernetes

package kubetest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/blackdice/shipwarden/internal/kubetest"
)

type object = map[string]any

func TestMain(m *testing.M) { kubetest.Main(m) }

// pods is a template of pods that run an image of the tag.
func pods(tag, restart string) object {
	return object{
		"metadata": object{"labels": object{"app": "shop"}},
		"spec": object{
			"restartPolicy": restart,
			"containers":    []object{{"name": "shop", "image": "registry.example.test/shop:" + tag}},
		},
	}
}

// deployment is one of two replicas that is given up after two seconds.
func deployment(tag string) object {
	return object{
		"metadata": object{"name": "shop"},
		"spec": object{
			"replicas": 2, "progressDeadlineSeconds": 2, "selector": object{"matchLabels": object{"app": "shop"}},
			"template": pods(tag, "Always"),
		},
	}
}

// condition is the condition of an object, "<status> <reason>".
func condition(of object, kind string) string {
	all, _ := kubetest.Field(of, "status", "conditions").([]any)
	for _, one := range all {
		if kubetest.Field(one, "type") == kind {
			return fmt.Sprintf("%v %v", kubetest.Field(one, "status"), kubetest.Field(one, "reason"))
		}
	}
	return ""
}

func TestTheTagOfAnImageSaysWhatBecomesOfADeployment(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	for tag, want := range map[string]struct{ progressing, waits string }{
		"1.0.0":       {"True NewReplicaSetAvailable", ""},
		"bad-pull-1":  {"False ProgressDeadlineExceeded", "ImagePullBackOff"},
		"bad-crash-1": {"False ProgressDeadlineExceeded", "CrashLoopBackOff"},
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			namespace := c.Namespace(t)
			executor, apps := c.Client(kubetest.Executor), "/apis/apps/v1/namespaces/"+namespace+"/deployments"
			executor.Must(t, http.MethodPost, apps, deployment(tag))
			kubetest.Eventually(t, "progressing is "+want.progressing, func() bool {
				return condition(executor.Must(t, http.MethodGet, apps+"/shop", nil), "Progressing") == want.progressing
			})
			// A Deployment may be given up before anything was said of its pods.
			kubetest.Eventually(t, fmt.Sprintf("the pods wait for %q", want.waits), func() bool {
				seen := executor.Must(t, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", nil)
				reason, _ := kubetest.Field(seen, "items", 0, "status", "containerStatuses", 0, "state", "waiting", "reason").(string)
				return reason == want.waits
			})
		})
	}
}

func TestAnUpgradeToABadImageFailsAndTheWayBackIsGood(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	executor, shop := c.Client(kubetest.Executor), "/apis/apps/v1/namespaces/"+c.Namespace(t)+"/deployments/shop"
	executor.Must(t, http.MethodPost, filepath.Dir(shop), deployment("1.0.0"))
	for _, step := range []struct{ tag, progressing, available string }{
		{"1.0.0", "True NewReplicaSetAvailable", "True MinimumReplicasAvailable"},
		{"bad-crash-1", "False ProgressDeadlineExceeded", "True MinimumReplicasAvailable"},
		{"1.0.0", "True NewReplicaSetAvailable", "True MinimumReplicasAvailable"},
	} {
		executor.Must(t, http.MethodPatch, shop, object{"spec": object{"template": pods(step.tag, "Always")}})
		kubetest.Eventually(t, step.tag+" is "+step.progressing, func() bool {
			seen := executor.Must(t, http.MethodGet, shop, nil)
			return kubetest.Field(seen, "status", "observedGeneration") == kubetest.Field(seen, "metadata", "generation") &&
				condition(seen, "Progressing") == step.progressing && condition(seen, "Available") == step.available
		})
	}
}

func TestAJobSucceedsOrFailsByItsImage(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	for tag, want := range map[string]string{"1.0.0": "Complete", "bad-job-1": "Failed"} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			executor, jobs := c.Client(kubetest.Executor), "/apis/batch/v1/namespaces/"+c.Namespace(t)+"/jobs"
			executor.Must(t, http.MethodPost, jobs, object{
				"metadata": object{"name": "migrate"}, "spec": object{"backoffLimit": 0, "template": pods(tag, "Never")},
			})
			kubetest.Eventually(t, "the job is "+want, func() bool {
				return strings.HasPrefix(condition(executor.Must(t, http.MethodGet, jobs+"/migrate", nil), want), "True ")
			})
		})
	}
}

func TestAClaimGetsAVolume(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	executor, claims := c.Client(kubetest.Executor), "/api/v1/namespaces/"+c.Namespace(t)+"/persistentvolumeclaims"
	executor.Must(t, http.MethodPost, claims, object{
		"metadata": object{"name": "data"},
		"spec":     object{"accessModes": []string{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": "1Gi"}}},
	})
	kubetest.Eventually(t, "the claim is bound", func() bool {
		return kubetest.Field(executor.Must(t, http.MethodGet, claims+"/data", nil), "status", "phase") == "Bound"
	})
}

func TestWhoMayDoWhatAndWhere(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	ours, secret := c.Namespace(t), object{"metadata": object{"name": "key"}, "stringData": object{"key": "value"}}
	in := func(namespace, what string) string { return "/api/v1/namespaces/" + namespace + "/" + what }
	for _, test := range []struct {
		who     kubetest.Identity
		method  string
		path    string
		content object
		want    int
	}{
		{kubetest.Admin, http.MethodPost, in("default", "secrets"), object{"metadata": object{"generateName": "key-"}}, http.StatusCreated},
		{kubetest.Executor, http.MethodPost, in(ours, "secrets"), secret, http.StatusCreated},
		{kubetest.Executor, http.MethodPost, in("default", "secrets"), secret, http.StatusForbidden},
		{kubetest.Executor, http.MethodGet, in("kube-system", "secrets"), nil, http.StatusForbidden},
		{kubetest.Executor, http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": "other"}}, http.StatusForbidden},
		{kubetest.Executor, http.MethodGet, "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ours + "/rolebindings", nil, http.StatusForbidden},
		{kubetest.Validator, http.MethodGet, in(ours, "pods"), nil, http.StatusOK},
		{kubetest.Validator, http.MethodGet, in(ours, "secrets/key"), nil, http.StatusForbidden},
		{kubetest.Validator, http.MethodPost, in(ours, "configmaps"), secret, http.StatusForbidden},
		{kubetest.Validator, http.MethodGet, in("default", "pods"), nil, http.StatusForbidden},
		{"nobody", http.MethodGet, in(ours, "pods"), nil, http.StatusForbidden},
	} {
		status, answer, err := c.Client(test.who).Do(t.Context(), test.method, test.path, test.content)
		if err != nil || status != test.want {
			t.Errorf("%s: %s %s: status %d, want %d: %v, %v", test.who, test.method, test.path, status, test.want, answer["message"], err)
		}
	}
}

func TestTheServerSaysWhichVersionItIs(t *testing.T) {
	t.Parallel()
	pins, err := os.ReadFile("../../tools/controlplane/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version, _ := kubetest.Shared(t).Client(kubetest.Admin).Must(t, http.MethodGet, "/version", nil)["gitVersion"].(string)
	if !bytes.Contains(pins, []byte("\tk8s.io/kubernetes "+version+"\n")) {
		t.Errorf("it says %q, which is not what is pinned", version)
	}
}

func TestAKubeconfigLeadsToTheServerAsWhoItIsOf(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	text, err := os.ReadFile(c.Kubeconfig(t, kubetest.Validator, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	var read object
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		where []any
		want  any
	}{
		{[]any{"clusters", 0, "cluster", "server"}, c.URL},
		{[]any{"clusters", 0, "cluster", "certificate-authority-data"}, base64.StdEncoding.EncodeToString(c.CA())},
		{[]any{"users", 0, "user", "token"}, c.Token(kubetest.Validator)},
		{[]any{"contexts", 0, "context", "namespace"}, "shop"},
	} {
		if got := kubetest.Field(read, test.where...); got != test.want {
			t.Errorf("%v: %v, want %v", test.where, got, test.want)
		}
	}
}

// envWithin has the folder in which the test binary notes what it found, where it is the command
// that Run runs.
const envWithin = "SHIPWARDEN_KUBETEST_WITHIN"

// What Run runs shares the cluster, and afterwards there is no process, no port and no file.
func TestWhatACommandRunsSharesAClusterAndNothingIsLeft(t *testing.T) {
	if dirs := os.Getenv(envWithin); dirs != "" {
		found(t, dirs)
		return
	}
	dirs, notes := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", dirs)
	t.Setenv(envWithin, notes)
	if err := kubetest.Run(t.Context(), []string{os.Args[0], "-test.run", "^" + t.Name() + "$"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(notes, "found"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	if len(lines) != 6 {
		t.Fatalf("not an address and five processes: %q", lines)
	}
	for _, line := range lines[1:] {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	if left, err := os.ReadDir(dirs); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	server, err := url.Parse(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", server.Host); err == nil {
		_ = conn.Close()
		t.Errorf("somebody still answers at %s", server)
	}
	if err := kubetest.Run(t.Context(), nil); err == nil {
		t.Error("no command is run")
	}
}

// found notes where the cluster is and what its processes are.
func found(t *testing.T, notes string) {
	t.Helper()
	c := kubetest.Shared(t)
	c.Client(kubetest.Executor).Must(t, http.MethodGet, "/api/v1/namespaces/"+c.Namespace(t)+"/pods", nil)
	c.Stop()
	text := c.URL
	for pid := range children(t, os.TempDir()) {
		text += fmt.Sprintf(" %d", pid)
	}
	if err := os.WriteFile(filepath.Join(notes, "found"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// children are the processes whose folder lies below dir, by their numbers.
func children(t *testing.T, dir string) map[int]string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, link := range all {
		// Processes of others may not be looked at, and some end meanwhile.
		if where, err := os.Readlink(link); err != nil || !strings.HasPrefix(where, dir+"/") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			t.Fatal(err)
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		found[pid] = string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
	}
	return found
}
