"""Which addresses are this machine's own, and which the public internet's. It connects nowhere."""

import ipaddress

Address = tuple[int, int, int, str, tuple[object, ...]]
"""As getaddrinfo returns them: family, kind, protocol, canonical name, and host with port."""

# What `is_global` lets through, or let through in some version of Python: the rest it knows.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "::/3",  # besides 2000::/3 nothing is in use, but ways to IPv4 (RFC 4291): in here both
        "4000::/2",  # of NAT64's, 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215)
        "8000::/1",
        "2001::/23",  # protocol assignments (RFC 2928), Teredo's 2001::/32 among them
        "2002::/16",  # 6to4 (RFC 3056): the IPv4 address inside it may be anything
        "3fff::/20",  # documentation (RFC 9637)
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, and to one host there.

    Private, loopback, link-local, multicast, reserved and unspecified addresses do not, nor
    does an IPv6 address that hides an IPv4 one which does not, nor any text that is no address.
    """
    ip = _ip(address)
    if ip is None or not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return not any(ip in network for network in _NOT_PUBLIC)


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address surely is this machine."""
    ip = _ip(host or "")
    return host == "localhost" if ip is None else ip.is_loopback


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an IP address; an IPv4 one inside IPv6 (`::ffff:127.0.0.1`) as the IPv4 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    return ip if isinstance(ip, ipaddress.IPv4Address) else ip.ipv4_mapped or ip
