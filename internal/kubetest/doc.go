// Package kubetest gives tests a real Kubernetes: its own etcd, API server, controllers and
// scheduler, as processes on loopback ports, without containers.
//
// Only the nodes are played, by kwok: it says of pods what a kubelet would, and nothing runs
// in them. What becomes of a pod is said by the tag of its image, so that a bad release
// differs from a good one in what is released and in nothing else (stages.yaml):
//
//	tag         what becomes of the pod
//	----------  -------------------------------------------------------------
//	bad-pull…   never starts: ImagePullBackOff
//	bad-crash…  starts and ends, again and again: CrashLoopBackOff
//	bad-job…    fails, where it is not started again: that of a Job
//	others      is ready at once; that of a Job succeeds
//
// A claim of the storage class kwok, which is the default, gets a volume that does not exist.
//
// A test takes a namespace of its own in a cluster that it shares (Shared): with all test
// binaries that a command runs (Run), or with those of its binary, whose TestMain calls Main.
// To start one takes as long as many tests. The programs are those of tools/controlplane,
// which must have been built; tests that need them carry the build tag kubernetes, and
// `make e2e-kubernetes` builds and runs both.
package kubetest
