"""What it means that a request to the API got no answer: describe aiohttp's errors without the key.

It owns the translation of aiohttp's and the system's exceptions; none of them leaves `exchange.py`.
"""

import ssl

import aiohttp
import attrs
from yarl import URL

from suno_cover_async.common.text import printable
from suno_cover_async.errors import (
    CertificateError,
    ClientUsageError,
    ProxyError,
    SunoCoverError,
    TransportError,
)
from suno_cover_async.network import certificates, proxies
from suno_cover_async.network.connector import NO_HTTP, open_socket

_OTHER_CREDENTIALS = (
    "the borrowed session has credentials of its own for this host, by auth= or, with trust_env, "
    "in the netrc file; nothing was sent: pass a session without them"
)
_TLS_PORT = 443


@attrs.frozen
class Failure:
    """Describes why a request got no answer, without the exception, which may hold the key.

    Attributes:
        words: What happened.
        certificate: The error of the verification of the host's certificate.
        proxy_status: The HTTP status with which a proxy refused to connect; 0 if none did.
        lost_proxy: What happened if the request goes through a proxy, where it is then the proxy
            that was not reached; else empty.
        other_credentials: Whether a borrowed session would have sent credentials of its own.
    """

    words: str
    certificate: Exception | None = None
    proxy_status: int = 0
    lost_proxy: str = ""
    other_credentials: bool = False


def describe(error: Exception) -> Failure:
    """Describe a foreign error by class and the system's text: its own text may hold headers."""
    if type(error) is ValueError and "AUTHORIZATION" in str(error):
        return Failure(_OTHER_CREDENTIALS, other_credentials=True)
    words = error.strerror if isinstance(error, OSError) and error.strerror else ""
    lost = f"the proxy cannot be reached ({printable(words or 'no connection')})"
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.CertificateError()):
            return Failure("its certificate is not trusted", certificate=error.certificate_error)
        case aiohttp.ClientHttpProxyError():
            return Failure(f"the proxy answered HTTP {error.status}", proxy_status=error.status)
        case aiohttp.ClientProxyConnectionError():
            return Failure(lost, lost_proxy=lost)
        case aiohttp.ClientResponseError():
            return Failure(f"it came {NO_HTTP}")
        case _:  # through a proxy, no name but the proxy's is resolved
            is_name = isinstance(error, aiohttp.ClientConnectorDNSError)
            told = f"{type(error).__name__} {words}".strip()
            return Failure(told, lost_proxy=lost if is_name else "")


async def error_of(failure: Failure, base_url: str, *, proxy: URL | None) -> SunoCoverError:
    """Return the error of a request to the API that got no answer.

    Args:
        failure: Why.
        base_url: The base URL of the API.
        proxy: The proxy that requests go through.
    """
    if failure.other_credentials:
        return ClientUsageError(failure.words)
    url = URL(base_url)
    host = url.host or ""
    if failure.certificate is not None:
        port = url.port or _TLS_PORT
        return CertificateError(
            await certificates.untrusted(host, port, failure.certificate, open_socket, proxy)
        )
    refusal = proxies.refusal(failure.proxy_status, host)
    if refusal is not None:
        return ProxyError(refusal)
    if proxy is not None and failure.lost_proxy:
        lost = TransportError(f"no answer from {base_url}: {failure.lost_proxy}")
        lost.add_note(proxies.CHECK)
        return lost
    return TransportError(f"no answer from {base_url}: {failure.words}")
