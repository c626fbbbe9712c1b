"""Read the body of an answer, decoded if the host stored its objects with gzip.

The request asks for no encoding. Object stores that hold gzip bytes send them as they are and say
so in `Content-Encoding`. This module owns how such a body is decoded: as a stream, so that a small
body which unpacks to gigabytes never takes more memory than a few pieces.
"""

import zlib

import aiohttp

from suno_cover_async.common.text import printable
from suno_cover_async.errors import DownloadError

_PIECE = 256 * 1024  # the most bytes that are decoded at once
_MOST_MEMBERS = 1024  # of gzip data: a host could send empty ones without end
_GZIP = zlib.MAX_WBITS | 16  # zlib's sign for a gzip header and checksum


class Body:
    """The bytes of one answer's body, in pieces."""

    def __init__(self, response: aiohttp.ClientResponse, where: str) -> None:
        """Begin to read.

        Args:
            response: An answer of a session with `auto_decompress=False`.
            where: What it answers, for messages.

        Raises:
            DownloadError: Its encoding is neither gzip nor none.
        """
        names = ",".join(response.headers.getall("Content-Encoding", ())).lower().split(",")
        encodings = [name.strip() for name in names if name.strip() not in {"", "identity"}]
        self._status = response.status
        self._where = where
        self._content = response.content
        self._decoder = zlib.decompressobj(_GZIP) if encodings else None
        self._input = b""
        self._is_between = False  # behind the end of a gzip member, where the data may end
        self._ahead = b""
        self._members = 0
        if encodings not in ([], ["gzip"], ["x-gzip"]):
            raise self._failed(
                f"is encoded as {printable(', '.join(encodings), 40)}, which was not asked for; "
                "report it to the host that serves it"
            )

    @property
    def is_encoded(self) -> bool:
        """Whether it is decoded; then its length differs from the one that the answer has."""
        return self._decoder is not None

    def at_end(self) -> bool:
        """Return whether all bytes were read, as far as is known by now.

        False for gzip data that was cut off: the next `read` raises its error.

        Raises:
            DownloadError: As `read` does.
        """
        self._ahead = self._ahead or self._decoded()
        is_whole = self._decoder is None or self._is_between
        return self._content.at_eof() and is_whole and not self._ahead

    async def read(self) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            DownloadError: The gzip data is damaged or cut off, and the error `retryable`; or the
                data has more than 1024 members.
        """
        while not (piece := self._ahead or self._decoded()):
            piece = await self._content.readany()
            if self._decoder is None:
                break
            if not piece:
                if not self._is_between:
                    raise self._failed("was cut off; try again", retryable=True)
                break
            self._input = piece
        self._ahead = b""
        return piece

    def _decoded(self) -> bytes:
        """Return the next decoded bytes of the input so far; none if it takes more input."""
        while self._decoder is not None:
            if self._is_between:  # another member may follow, or zeros that fill a block
                self._input = self._input.lstrip(b"\0")
                self._is_between = not self._input
            if self._is_between:
                break
            try:
                piece = self._decoder.decompress(self._input, _PIECE)
            except zlib.error:
                raise self._failed("is damaged gzip; try again", retryable=True) from None
            self._input = self._decoder.unconsumed_tail
            if self._decoder.eof:
                self._input, self._is_between = self._decoder.unused_data, True
                self._decoder = zlib.decompressobj(_GZIP)
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise self._failed(f"is gzip of more than {_MOST_MEMBERS} members")
            if piece or not self._input:
                return piece
        return b""

    def _failed(self, what: str, *, retryable: bool = False) -> DownloadError:
        return DownloadError(f"{self._where} {what}", retryable=retryable, http_status=self._status)
