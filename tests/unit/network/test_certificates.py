"""Who issued a certificate, read from its bytes."""

import contextlib
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.network.certificates import issuer_of


def certificate(authority: trustme.CA) -> bytes:
    issued = authority.issue_cert("api.example")
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def test_the_organisation_is_named() -> None:
    authority = trustme.CA(organization_name="Ünder Inspection Inc.")

    assert issuer_of(certificate(authority)) == "Ünder Inspection Inc."


def test_what_the_issuer_calls_itself_is_made_printable_and_short() -> None:
    authority = trustme.CA(organization_name="\x1b[2J" + "x" * 55)

    name = issuer_of(certificate(authority))

    assert name.isprintable()
    assert len(name) <= 80


@given(place=st.integers(0, 400), octet=st.integers(0, 255))
def test_a_cut_or_damaged_certificate_is_an_error_or_a_text(place: int, octet: int) -> None:
    whole = certificate(_AUTHORITY)
    damaged = bytearray(whole)
    damaged[place] = octet

    for content in (whole[:place], bytes(damaged)):
        with contextlib.suppress(ValueError):
            assert isinstance(issuer_of(content), str)


@given(st.binary(max_size=64))
def test_what_is_no_certificate_is_an_error_or_a_text(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(issuer_of(content), str)


def test_a_length_that_never_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        issuer_of(b"\x30\x84\xff\xff\xff\xff")


_AUTHORITY = trustme.CA()
