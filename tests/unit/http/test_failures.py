"""What a request without an answer means, by the error of aiohttp or the system."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from suno_cover_async import CertificateError, ClientUsageError, ProxyError, TransportError
from suno_cover_async.http.failures import Failure, describe, error_of

KEY = "sk-canary-0b5e55ed"
BASE = "https://api.example"
PROXY = URL("http://127.0.0.1:1")
PLACE = ConnectionKey("api.example", 443, True, True, None, None, None)
REQUEST = aiohttp.RequestInfo(
    URL(BASE), "GET", CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {KEY}"})), URL(BASE)
)


def answered(status: int) -> aiohttp.ClientHttpProxyError:
    return aiohttp.ClientHttpProxyError(REQUEST, (), status=status, message=f"no {KEY}")


@pytest.mark.parametrize("status", [403, 407])
async def test_a_proxy_that_refuses_is_final(status: int) -> None:
    error = await error_of(describe(answered(status)), BASE, proxy=PROXY)

    assert type(error) is ProxyError
    assert not error.retryable
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("status", [502, 503])
async def test_a_proxy_that_fails_may_work_later(status: int) -> None:
    error = await error_of(describe(answered(status)), BASE, proxy=PROXY)

    assert type(error) is TransportError
    assert error.retryable
    assert f"the proxy answered HTTP {status}" in str(error)


async def test_a_proxy_that_cannot_be_reached_is_named_as_the_proxy() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    failure = describe(aiohttp.ClientProxyConnectionError(PLACE, refused))

    error = await error_of(failure, BASE, proxy=PROXY)

    assert error.retryable
    assert "the proxy cannot be reached (Connection refused)" in str(error)
    assert "HTTPS_PROXY" in error.__notes__[0]


async def test_a_name_that_is_unknown_is_that_of_the_proxy_where_there_is_one() -> None:
    unknown = aiohttp.ClientConnectorDNSError(PLACE, OSError(-2, "Name or service not known"))

    proxy = await error_of(describe(unknown), BASE, proxy=PROXY)
    host = await error_of(describe(unknown), BASE, proxy=None)

    assert "the proxy cannot be reached (Name or service not known)" in str(proxy)
    assert "HTTPS_PROXY" in proxy.__notes__[0]
    assert str(host) == f"no answer from {BASE}: ClientConnectorDNSError Name or service not known"
    assert not hasattr(host, "__notes__")


async def test_an_untrusted_certificate_is_final_and_names_ssl_cert_file() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "verify failed")
    failure = describe(aiohttp.ClientConnectorCertificateError(PLACE, untrusted))

    error = await error_of(failure, BASE, proxy=PROXY)

    assert type(error) is CertificateError
    assert not error.retryable
    assert "the certificate of api.example cannot be verified" in str(error)
    assert "SSL_CERT_FILE" in str(error)


async def test_credentials_of_a_borrowed_session_are_an_error_of_use() -> None:
    failure = describe(ValueError("Cannot combine AUTHORIZATION header with AUTH argument"))

    error = await error_of(failure, BASE, proxy=None)

    assert type(error) is ClientUsageError
    assert "netrc" in str(error)


async def test_other_errors_are_described_by_class_and_the_systems_text() -> None:
    lost = aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")

    error = await error_of(describe(lost), BASE, proxy=None)

    assert str(error) == f"no answer from {BASE}: ClientOSError Connection reset by peer"


@pytest.mark.parametrize(
    "error", [answered(407), answered(500), ValueError(KEY), RuntimeError(KEY), OSError(KEY)]
)
def test_no_text_of_a_foreign_error_is_quoted(error: Exception) -> None:
    assert KEY not in describe(error).words


def test_headers_that_are_too_large_are_told() -> None:
    failure = describe(aiohttp.ClientResponseError(REQUEST, (), message=KEY))

    assert failure == Failure("it came with headers over 64 KiB, or not in HTTP")
