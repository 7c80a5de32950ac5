package dial

import (
	"fmt"
	"net/netip"
)

// Address translation puts an IPv4 address into an IPv6 one, at these places.
var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	nat64ll = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToIV = netip.MustParsePrefix("2002::/16")
)

// metadata are addresses at which clouds hand out credentials to whoever asks from
// inside, beside the link-local ones that are refused anyway.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
}

// reserved are ranges that no service answers from.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// judge says with ErrForbidden why an IP address must not be reached by way of this
// configured address.
func (a Address) judge(ip netip.Addr) error {
	ip = embedded(ip)
	switch {
	case !ip.IsValid(), ip.IsUnspecified():
		return fmt.Errorf("%w: %s is unspecified", ErrForbidden, ip)
	case ip.IsLinkLocalUnicast():
		return fmt.Errorf("%w: %s is link-local", ErrForbidden, ip)
	case ip.IsMulticast():
		return fmt.Errorf("%w: %s is multicast", ErrForbidden, ip)
	case ip.IsLoopback() && !a.loopback:
		return fmt.Errorf("%w: %s is loopback, and %q does not say so", ErrForbidden, ip, a.host)
	}
	for _, m := range metadata {
		if ip == m {
			return fmt.Errorf("%w: %s is a metadata service", ErrForbidden, ip)
		}
	}
	for _, r := range reserved {
		if r.Contains(ip) {
			return fmt.Errorf("%w: %s is reserved", ErrForbidden, ip)
		}
	}
	return nil
}

// embedded returns the address that is meant in the end: without a zone, and the
// IPv4 address where one is wrapped.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.WithZone("").Unmap()
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip), nat64ll.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToIV.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	// The deprecated form ::a.b.c.d; :: and ::1 are themselves.
	if [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0) {
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return ip
}
