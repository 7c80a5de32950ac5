package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

var errNotBuilt = errors.New("the control plane is not built here: 'make e2e-kubernetes' builds it, and so does tools/controlplane.sh")

// program is where the control plane is that tools/controlplane.sh of this tree builds.
func program(ctx context.Context) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	script := ""
	for {
		script = filepath.Join(dir, "tools", "controlplane.sh")
		if _, err := os.Stat(script); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("tools/controlplane.sh is not above the test: %w", err)
		}
		dir = filepath.Dir(dir)
	}
	out, err := exec.CommandContext(ctx, script, "--there").Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 && len(exit.Stderr) == 0 {
		return "", errNotBuilt
	} else if err != nil {
		return "", fmt.Errorf("%s --there: %w", script, err)
	}
	return string(bytes.TrimSpace(out)), nil
}

// etcdArgs say that nothing is synced: what a power cut leaves is not what tests are about.
func etcdArgs(k *keys, client, peer string) []string {
	clients, peers := "http://127.0.0.1:"+client, "http://127.0.0.1:"+peer
	return []string{
		"--data-dir=" + k.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
	}
}

// apiserverArgs say nothing about endpoints, because those of the API server itself may not
// be loopback addresses.
func apiserverArgs(k *keys, etcd, port string) []string {
	return []string{
		"--etcd-servers=http://127.0.0.1:" + etcd, "--bind-address=127.0.0.1", "--secure-port=" + port, "--endpoint-reconciler-type=none",
		"--tls-cert-file=" + k.path("server.crt"), "--tls-private-key-file=" + k.path("server.key"), "--cert-dir=" + k.dir,
		"--client-ca-file=" + k.path("ca.crt"), "--token-auth-file=" + k.path("tokens.csv"), "--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + k.path("accounts.key"),
		"--service-account-signing-key-file=" + k.path("accounts.key"), "--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true", "--profiling=false",
	}
}

func controllersArgs(k *keys, kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0", "--profiling=false", "--cert-dir=" + k.dir,
		"--service-account-private-key-file=" + k.path("accounts.key"), "--root-ca-file=" + k.path("ca.crt"),
		"--use-service-account-credentials=false", "--allocate-node-cidrs=false", "--node-monitor-grace-period=5m",
		"--kube-api-qps=200", "--kube-api-burst=400",
	}
}

func schedulerArgs(kubeconfig string) []string {
	return []string{"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0", "--profiling=false"}
}

func kwokArgs(k *keys, kubeconfig, port string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig, "--config=" + k.path("stages.yaml"), "--manage-all-nodes=true", "--server-address=127.0.0.1:" + port,
		"--cidr=10.64.0.0/16", "--node-ip=10.63.0.1", "--node-lease-duration-seconds=40",
	}
}
