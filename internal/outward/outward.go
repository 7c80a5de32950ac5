// Package outward says where a service may connect to that calls somebody by an address of
// its configuration: a chat, an identity provider, a registry, a tracker, a monitoring. What
// a name leads to is said by whoever serves the name, and may be another place every time.
// It is judged in the moment of connecting, by the address of the very socket, so that no
// redirect, no second answer of a name server and no other notation of a number leads to the
// metadata service of a cloud, or to this machine.
//
// Private networks are not refused: that is where a company has its chat. Targets are looked
// at by the validator, which knows them one by one, and has a judgment of its own.
package outward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrForbidden means that an address must not be reached.
var ErrForbidden = errors.New("address must not be reached")

// blocked are networks in which nobody can be who is called, and the metadata services of
// clouds that are not link-local, which hand out credentials to whoever asks from inside.
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

// Networks of IPv6 addresses that stand for an IPv4 address, in their last bytes or after
// the first two.
var (
	translated = netip.MustParsePrefix("64:ff9b::/96")
	locally    = netip.MustParsePrefix("64:ff9b:1::/48")
	compatible = netip.MustParsePrefix("::/96")
	tunneled   = netip.MustParsePrefix("2002::/16")
)

// DialContext returns a function for http.Transport and the like. One attempt takes timeout
// at most; zero for as long as the context lasts. The error wraps ErrForbidden where nothing
// that the name leads to may be reached.
func DialContext(timeout time.Duration) func(ctx context.Context, network, hostport string) (net.Conn, error) {
	return func(ctx context.Context, network, hostport string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(hostport)
		if err != nil {
			return nil, fmt.Errorf("%w: it is not a host and a port", ErrForbidden)
		}
		said := Here(host)
		dialer := &net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !reachable(to.Addr(), said) {
				return ErrForbidden
			}
			return nil
		}}
		return dialer.DialContext(ctx, network, hostport)
	}
}

// Here tells whether a host of an address says itself that it is this machine. A name that
// only leads here is not one of those: what listens on this machine alone is often open.
func Here(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err == nil {
		return ip.Unmap().IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// reachable judges one address; here says that this machine is meant, and no other: what is
// said to it may be said in plain text.
func reachable(address netip.Addr, here bool) bool {
	address = meant(address.Unmap().WithZone(""))
	if here || address.IsLoopback() {
		return here && address.IsLoopback()
	}
	return !slices.ContainsFunc(blocked, func(network netip.Prefix) bool { return network.Contains(address) })
}

// meant is the IPv4 address where one is wrapped.
func meant(address netip.Addr) netip.Addr {
	if !address.Is6() || address == netip.IPv6Loopback() {
		return address
	}
	bytes := address.As16()
	switch {
	case translated.Contains(address), locally.Contains(address), compatible.Contains(address):
		return netip.AddrFrom4([4]byte(bytes[12:]))
	case tunneled.Contains(address):
		return netip.AddrFrom4([4]byte(bytes[2:6]))
	}
	return address
}
