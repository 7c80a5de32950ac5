// Command charttest looks at manifests that Helm rendered from the chart, and says
// what is wrong with them:
//
//	helm template … >minimal.yaml
//	charttest examples/starter.yaml minimal.yaml
//
// Kubernetes takes a pod that may do anything, and a configuration file that its
// service refuses, without a word. Here every pod must be locked down, every
// NetworkPolicy must mean what it says, and every configuration must pass the very
// function that the service reads it with, in a folder tree that holds exactly what
// the pod mounts. So a file that is named and not mounted is found as well. Jobs must
// say what the command understands.
//
// The procedure document stands for the one that an installation has already.
// It needs no cluster, and Helm's library stays out of the module.
package main
