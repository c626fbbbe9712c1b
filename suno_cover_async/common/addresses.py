"""Classifies IP addresses: loopback or public. It opens no connection."""

import ipaddress

Address = tuple[int, int, int, str, tuple[object, ...]]
"""As getaddrinfo returns them: family, kind, protocol, canonical name, and host with port."""

# Networks that `is_global` accepts in some version of Python; it excludes the others itself.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        # Outside 2000::/3 only mappings of IPv4 are in use (RFC 4291). Those of NAT64 are in ::/3:
        # 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215).
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",  # protocol assignments (RFC 2928), Teredo's 2001::/32 among them
        "2002::/16",  # 6to4 (RFC 3056): contains an IPv4 address, which may be a private one
        "3fff::/20",  # documentation (RFC 9637)
    )
)


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to one host of the public internet.

    False for private, loopback, link-local, multicast, reserved and unspecified addresses, for an
    IPv6 address that contains such an IPv4 address, and for text that is not an address.
    """
    ip = _ip(address)
    if ip is None or not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return not any(ip in network for network in _NOT_PUBLIC)


def is_loopback(host: str | None) -> bool:
    """Return whether a host is `localhost` or a loopback address."""
    ip = _ip(host or "")
    return host == "localhost" if ip is None else ip.is_loopback


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an IP address; return an IPv4 one for IPv4 inside IPv6 (`::ffff:127.0.0.1`)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    return ip if isinstance(ip, ipaddress.IPv4Address) else ip.ipv4_mapped or ip
