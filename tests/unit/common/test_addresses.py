"""Which addresses are public."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.common.addresses import is_public


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
        ("64:ff9b::808:808", False),
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
