// Package dial opens the connections with which the validator looks at the world:
// it is the one place that decides which addresses may be reached at all.
//
// Addresses come from the service's configuration, but what a name resolves to is
// somebody else's word. So a name is resolved first, every address that it resolves
// to is judged, and the connection is then made to exactly those addresses: there is
// no second look-up in between that could answer differently. The address of every
// socket is judged once more immediately before it is connected.
//
// Never reached are link-local addresses and the metadata services of clouds, in
// whatever notation (IPv4 inside of IPv6, translated by NAT64 or 6to4), unspecified
// and multicast addresses. Loopback is reached only where the configuration itself
// says so, by a loopback address or by the name localhost: a name that merely
// resolves to loopback is refused. No proxy is used, whatever the environment says.
package dial
