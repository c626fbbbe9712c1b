"""Which addresses are public."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.common.addresses import (
    fake_ip_networks,
    is_in,
    is_public,
    literal,
)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("93.184.216.34", True),
        ("172.32.0.1", True),
        ("100.128.0.1", True),
        ("2606:4700::1111", True),
        ("2a00:1450:4001::1", True),
        ("::ffff:8.8.8.8", True),
        ("0.0.0.0", False),  # noqa: S104
        ("0.1.2.3", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("100.127.255.255", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.0.0.8", False),
        ("192.0.0.9", False),
        ("192.0.0.170", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("224.0.0.1", False),
        ("233.252.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::1", False),
        ("100::1", False),
        ("2001::1", False),
        ("2001:0:4136:e378::1", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::1", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("", False),
        ("localhost", False),
        ("example.com", False),
        ("127.1", False),
        ("8.8.8.8/32", False),
        ("8.8.8.8 ", False),
    ],
)
def test_only_globally_reachable_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="127.0.0.0/8"))
def test_no_way_of_writing_a_private_address_makes_it_public(address: object) -> None:
    for prefix in ("", "::ffff:", "::", "64:ff9b::", "64:ff9b:1::", "2001::", "fe80::"):
        assert not is_public(f"{prefix}{address}")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("64:ff9b::808:808", True),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::169.254.169.254", False),
        ("64:ff9b::100.64.0.1", False),
        ("64:ff9b::0.0.0.0", False),
        ("64:ff9b::198.18.0.1", False),
        ("64:ff9b:0:0:0:1:808:808", False),
        ("64:ff9b:2::808:808", False),
    ],
)
def test_a_nat64_address_is_judged_by_the_ipv4_address_in_its_last_32_bits(
    address: str, public: bool
) -> None:
    assert is_public(address) is public


def nat64(length: int, inside: str, prefix: str = "64:ff9b:1::") -> str:
    """Embed an IPv4 address as RFC 6052 does: octet 8 stays zero, the suffix too."""
    octets = bytearray(ipaddress.IPv6Address(prefix).packed)
    place = length // 8
    for byte in ipaddress.IPv4Address(inside).packed:
        place += place == 8
        octets[place] = byte
        place += 1
    return str(ipaddress.IPv6Address(bytes(octets)))


@pytest.mark.parametrize("length", [48, 56, 64, 96])
@pytest.mark.parametrize(
    ("inside", "public"),
    [("8.8.8.8", True), ("10.0.0.1", False), ("127.0.0.1", False), ("169.254.169.254", False)],
)
def test_an_address_of_rfc_8215_is_judged_by_the_ipv4_address_at_any_length_of_its_prefix(
    length: int, inside: str, public: bool
) -> None:
    assert is_public(nat64(length, inside)) is public


@given(
    st.sampled_from([48, 56, 64, 96]),
    st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="127.0.0.0/8"),
    st.integers(0, 2**16 - 1),
)
def test_no_private_address_is_public_in_any_form_of_rfc_8215(
    length: int, inside: object, subnet: int
) -> None:
    prefix = f"64:ff9b:1:{subnet:x}::" if length > 56 else "64:ff9b:1::"
    assert not is_public(nat64(length, str(inside), prefix))


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b:1:808:8:800::",  # /48 holds 8.8.8.8; with a prefix of /56 it would be 8.8.8.0
        "64:ff9b:1::",
        "64:ff9b:1:0:100::808:808",  # octet 8 is not zero: no form of RFC 6052
        "64:ff9b:1:7f00:0:100::",
    ],
)
def test_an_address_of_rfc_8215_is_public_only_if_it_is_in_every_form_its_bits_allow(
    address: str,
) -> None:
    assert is_public(address) is (address == "64:ff9b:1:808:8:800::")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("8.8.8.8.", "8.8.8.8"),
        ("127.1", "127.0.0.1"),
        ("0xa.1", "10.0.0.1"),
        ("3323068417", "198.18.0.1"),
        ("0XC6120001", "198.18.0.1"),
        ("0306.022.0.1", "198.18.0.1"),
        ("::1", "::1"),
        ("fe80::1%lo", "fe80::1%lo"),
        ("a.999", "a.999"),
        ("1.2.3.4.5", "1.2.3.4.5"),
        ("images.example", None),
        ("localhost", None),
        ("1.example", None),
        ("10.0.0.1.example", None),
        ("0xample", None),
    ],
)
def test_a_host_that_the_resolver_reads_as_an_address_is_a_literal(
    host: str, address: str | None
) -> None:
    assert literal(host) == address


@pytest.mark.parametrize(
    "network",
    [
        *("0.0.0.0/0", "127.0.0.0/8", "127.0.0.1", "169.254.0.0/16", "169.254.169.254/32"),
        *(
            "0.0.0.0/32",
            "::/0",
            "::1",
            "fe80::/64",
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/64",
        ),
    ],
)
def test_a_fake_ip_network_that_contains_loopback_or_link_local_addresses_is_refused(
    network: str,
) -> None:
    with pytest.raises(ValueError, match=r"fake_ip_networks: .* never allowed"):
        fake_ip_networks("fake_ip_networks", [network])


@pytest.mark.parametrize("network", ["", "fake", "198.18.0.1/15", "198.18.0.0/33", "300.0.0.0/8"])
def test_what_is_no_network_is_refused_with_an_example(network: str) -> None:
    with pytest.raises(ValueError, match=r"is no network; .* such as 198.18.0.0/15"):
        fake_ip_networks("fake_ip_networks", [network])


@pytest.mark.parametrize("networks", ["198.18.0.0/15", [1], [b"198.18.0.0/15"]])
def test_fake_ip_networks_are_a_sequence_of_texts(networks: Any) -> None:
    with pytest.raises(TypeError, match=r"sequence of networks"):
        fake_ip_networks("fake_ip_networks", networks)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("198.18.0.1", True),
        ("198.19.255.255", True),
        ("::ffff:198.18.0.1", True),
        ("198.20.0.0", False),
        ("fd00::1", True),
        ("fd01::1", False),
        ("10.0.0.1", False),
        ("fake", False),
    ],
)
def test_an_address_is_in_a_network_or_not(address: str, inside: bool) -> None:
    networks = fake_ip_networks("fake_ip_networks", ["198.18.0.0/15", "fd00::/16"])

    assert is_in(address, networks) is inside
