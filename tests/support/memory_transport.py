"""A transport in memory: it keeps what is written, and says what was done to it."""

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Keeps every piece that is written."""

    def __init__(self, sock: Any = None) -> None:
        super().__init__({"socket": sock})
        self.pieces: list[bytes] = []
        self.acts: list[str] = []

    @property
    def written(self) -> bytes:
        return b"".join(self.pieces)

    def write(self, data: Any) -> None:
        assert not self.is_closing()
        self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & {*self.acts})

    def close(self) -> None:
        self.acts.append("close")

    def abort(self) -> None:
        self.acts.append("abort")

    def pause_reading(self) -> None:
        self.acts.append("pause")

    def resume_reading(self) -> None:
        self.acts.append("resume")


def writing_to(transport: MemoryTransport) -> asyncio.StreamWriter:
    """Have a stream that writes there."""
    loop = asyncio.get_running_loop()
    protocol = asyncio.streams.FlowControlMixin(loop)
    return asyncio.StreamWriter(transport, protocol, None, loop)
