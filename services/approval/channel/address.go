package channel

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// errBlocked means that an address must not be reached.
var errBlocked = errors.New("address refused")

// blocked are networks in which no receiver of notices can be, and the metadata
// services of clouds that are not link-local, which hand out credentials.
// Private networks and this machine are not among them: that is where a company
// has its chat.
var blocked = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, reserved, broadcast
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("fd00:ec2::/32"),
	netip.MustParsePrefix("fd20:ce::/32"),
}

// Networks of IPv6 addresses that stand for an IPv4 address in their last bytes.
var (
	translated = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
)

// checkAddress is called for every address that is about to be connected to,
// after names were resolved.
func checkAddress(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !reachable(target.Addr()) {
		return errBlocked
	}
	return nil
}

func reachable(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if address == netip.IPv6Loopback() {
		return true
	}
	if translated.Contains(address) || compatible.Contains(address) {
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return !slices.ContainsFunc(blocked, func(network netip.Prefix) bool { return network.Contains(address) })
}
