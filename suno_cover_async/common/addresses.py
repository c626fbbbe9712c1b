"""Classifies IP addresses: loopback or public. It opens no connection."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = tuple[int, int, int, str, tuple[object, ...]]
"""As getaddrinfo returns them: family, kind, protocol, canonical name, and host with port."""

# Networks that `is_global` accepts in some version of Python; it excludes the others itself.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        # Outside 2000::/3 only mappings of IPv4 are in use (RFC 4291).
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",  # protocol assignments (RFC 2928), Teredo's 2001::/32 among them
        "2002::/16",  # 6to4 (RFC 3056): contains an IPv4 address, which may be a private one
        "3fff::/20",  # documentation (RFC 9637)
    )
)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215
# How RFC 6052 puts an IPv4 address behind a prefix of /48, /56, /64 or /96: the bytes that hold it.
# Byte 8 is zero in each form, and so is what follows the IPv4 address.
_NAT64_FORMS = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))

_NEVER_FAKE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16"),
        *("::/127", "fe80::/10", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"),
    )
)

FAKE_IP = "198.18.0.0/15"
"""The network from which proxies with a fake-ip resolver usually answer (RFC 2544)."""


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to one host of the public internet.

    False for private, loopback, link-local, multicast, reserved and unspecified addresses, for an
    IPv6 address that contains such an IPv4 address, and for text that is not an address. A NAT64
    address is judged by the IPv4 address in it.
    """
    ip = _ip(address)
    if isinstance(ip, ipaddress.IPv6Address) and (ip in _NAT64 or ip in _LOCAL_NAT64):
        inside = list(_inside_nat64(ip))
        return bool(inside) and all(map(_is_public, inside))
    return ip is not None and _is_public(ip)


def _is_public(ip: IP) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return not any(ip in network for network in _NOT_PUBLIC)


def _inside_nat64(ip: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield each IPv4 address that a NAT64 address may hold.

    In 64:ff9b:1::/48 a network chooses the length of its prefix, which the address does not tell.
    """
    octets = ip.packed
    if octets[8]:
        return
    for form in _NAT64_FORMS[3:] if ip in _NAT64 else _NAT64_FORMS:
        inside = bytes(octets[place] for place in form)
        # Behind /96 there is no suffix: a zero IPv4 address there is that of a shorter prefix.
        is_suffix = form[-1] == len(octets) - 1 and ip in _LOCAL_NAT64 and not any(inside)
        if not is_suffix and not any(octets[form[-1] + 1 :]):
            yield ipaddress.IPv4Address(inside)


def literal(host: str) -> str | None:
    """Return the IP address that a host is written as; None for a name.

    The system's resolver also reads `127.1`, `0x7f.1` and `2130706433` as addresses. So a host
    whose last part is a number is an address, as browsers decide it; one that cannot be read is
    returned as it is, which is not public.
    """
    if ":" in host or _ip(host) is not None:
        return host
    last = host.removesuffix(".").rpartition(".")[2].lower()
    if not (last.isdigit() or (last.startswith("0x") and not last[2:].strip("0123456789abcdef"))):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
    except (OSError, ValueError):
        return host


def fake_ip_networks(name: str, values: Sequence[object]) -> tuple[Network, ...]:
    """Parse the networks from which a fake-ip resolver answers.

    Raises:
        TypeError: `values` is one text, or not a sequence of texts.
        ValueError: One is no network, or contains addresses that no such resolver may use.
    """
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f'{name} must be a sequence of networks, such as ("{FAKE_IP}",)')
    return tuple(_fake_ip_network(name, str(value)) for value in values)


def _fake_ip_network(name: str, value: str) -> Network:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(
            f"{name}: {value[:80]!r} is no network; write it as its first address and the length "
            f"of its prefix, such as {FAKE_IP}"
        ) from None
    for never in _NEVER_FAKE:
        if network.version == never.version and network.overlaps(never):
            raise ValueError(
                f"{name}: {network} contains addresses of {never} (loopback, link-local, "
                "unspecified, or IPv4 inside IPv6), which are never allowed; name only the network "
                "from which your proxy's resolver answers"
            )
    return network


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an IP address is in one of the networks."""
    ip = _ip(address)
    return ip is not None and any(ip in network for network in networks)


def is_loopback(host: str | None) -> bool:
    """Return whether a host is `localhost` or a loopback address."""
    ip = _ip(host or "")
    return host == "localhost" if ip is None else ip.is_loopback


def _ip(address: str) -> IP | None:
    """Parse an IP address; return an IPv4 one for IPv4 inside IPv6 (`::ffff:127.0.0.1`)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    return ip if isinstance(ip, ipaddress.IPv4Address) else ip.ipv4_mapped or ip
