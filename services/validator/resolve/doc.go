// Package resolve finds the artifacts of a release and pins them (PROC-DEPLOY-001,
// step 2): it says whether an artifact is where the request says, and that its content
// has the digest that the request says. Nothing is believed that can be computed: a
// file is read and hashed, a manifest is fetched and hashed (PD-2.1).
//
// Where an artifact lies comes from the request, so from outside. A file is opened
// below the configured folder only, whatever links lie in it. An image is asked for
// only at registries that the configuration names; that holds for the servers to
// which a registry sends us on, too, be it for a token or by a redirect: they need an
// entry of their own. Plain HTTP is used only where the entry says so, and no address
// is reached that package dial forbids.
//
// An artifact that cannot be pinned is missing, is another one than was requested, or
// lies where it may not: these are final. Or nobody could tell: that passes, and the
// caller asks again.
package resolve
