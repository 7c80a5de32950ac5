// Package delivery reads what Argo CD or Flux says of what it places from a repository: which
// commit it has placed, whether that is healthy, and whether it follows the repository at all.
// It never changes what they place; at most it asks them to look now.
//
//	kind                              follows the repository where
//	--------------------------------  ------------------------------------------------------------
//	argoproj.io/v1alpha1              a source of it is the repository, the branch and the path,
//	  Application                     and its sync policy is automated
//	kustomize.toolkit.fluxcd.io/v1    its GitRepository is that of the repository and branch,
//	  Kustomization                   neither is suspended, and it waits for what it applies
//	helm.toolkit.fluxcd.io/v2         its chart lies in such a GitRepository, each commit counts
//	  HelmRelease                     (reconcileStrategy Revision), and it waits
package delivery
