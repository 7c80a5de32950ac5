// Package kube reads what is in clusters of Kubernetes, for checks of step 6.
//
// The validator has a kubeconfig of its own, with rights to read and no others, so that what it
// says of a cluster rests on nothing that the executor says, or could say in its name. How a
// kubeconfig is read is written down here and in the executor's driver alike: services never import
// each other, and what both need would bring the libraries of Kubernetes to all who share it.
package kube
