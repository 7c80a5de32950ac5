package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Pinned is an address whose host was resolved and found in order. Connections go to
// exactly the IP addresses that were judged. It is safe for concurrent use.
type Pinned struct {
	address Address
	ips     []netip.Addr
}

// Pin resolves the host, once, and judges every address that it resolves to; one that
// is forbidden condemns all, because a name that leads there cannot be trusted to
// lead anywhere. The resolver may be nil, which means the system's. The errors are
// ErrUnresolved, ErrForbidden, or the context's own.
func (a Address) Pin(ctx context.Context, resolver *net.Resolver) (Pinned, error) {
	if a.literal.IsValid() {
		return Pinned{address: a, ips: []netip.Addr{a.literal}}, nil
	}
	if a.host == "" {
		return Pinned{}, fmt.Errorf("%w: no host", ErrAddress)
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ips, err := resolver.LookupNetIP(ctx, "ip", a.host)
	if err != nil {
		return Pinned{}, fmt.Errorf("%w: %w", ErrUnresolved, err)
	}
	if len(ips) == 0 {
		return Pinned{}, fmt.Errorf("%w: %q has no address", ErrUnresolved, a.host)
	}
	for i, ip := range ips {
		if err := a.judge(ip); err != nil {
			return Pinned{}, fmt.Errorf("resolve %q: %w", a.host, err)
		}
		ips[i] = ip.Unmap()
	}
	return Pinned{address: a, ips: ips}, nil
}

// Connect opens a TCP connection to the first of the pinned addresses that takes it.
// Each address gets its share of the time that the context leaves. The error is the
// last address's.
func (p Pinned) Connect(ctx context.Context) (net.Conn, error) {
	last := fmt.Errorf("%w: nothing was resolved", ErrAddress)
	dialer := net.Dialer{Resolver: &net.Resolver{PreferGo: true}, ControlContext: p.control}
	for i, ip := range p.ips {
		attempt, cancel := share(ctx, len(p.ips)-i)
		conn, err := dialer.DialContext(attempt, "tcp", netip.AddrPortFrom(ip, p.address.port).String())
		cancel()
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		last = err
	}
	return nil, last
}

// DialContext is Connect for http.Transport. It refuses with ErrForbidden every
// address other than the pinned one, so that nothing that a server answers can lead
// elsewhere.
func (p Pinned) DialContext(ctx context.Context, _, hostport string) (net.Conn, error) {
	if !p.address.Equal(hostport) {
		return nil, fmt.Errorf("%w: %q is not %q", ErrForbidden, hostport, p.address)
	}
	return p.Connect(ctx)
}

// control judges the address of a socket that is about to be connected.
func (p Pinned) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.Join(ErrForbidden, err)
	}
	return p.address.judge(to.Addr())
}

// share gives one of several attempts its part of the time that is left.
func share(ctx context.Context, attempts int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || attempts <= 1 {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, left/time.Duration(attempts))
}
