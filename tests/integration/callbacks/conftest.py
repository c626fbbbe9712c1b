"""Fixtures that the tests of this folder share."""

import socket
from collections.abc import Generator

import pytest


@pytest.fixture
def sock() -> Generator[socket.socket, None, None]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
        yield sock
