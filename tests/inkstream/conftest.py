"""Servers of synthetic tensors, and clients of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import inkstream
from tests.fake_server import FakeServer, encode_sparse_words

WAIT_S = 20


@pytest.fixture
def fake_server() -> Iterator[Callable[..., FakeServer]]:
    """Starts servers of synthetic tensors: `fake_server(samples=10)`."""
    started: list[FakeServer] = []

    def start(**options: Any) -> FakeServer:
        started.append(FakeServer(**options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def connected(
    fake_server: Callable[..., FakeServer],
) -> Iterator[Callable[..., tuple[inkstream.Client, list[FakeServer]]]]:
    """`connected(servers=2, timeout_s=3)` gives a client and its servers."""
    clients = []

    def connect(
        servers: int = 1, timeout_s: float = WAIT_S, **options: Any
    ) -> tuple[inkstream.Client, list[FakeServer]]:
        started = [fake_server(**options) for _ in range(servers)]
        clients.append(inkstream.connect([server.address for server in started], timeout_s=timeout_s))
        return clients[-1], started

    yield connect
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def sparse_encoder() -> Callable[[bytes, bytes], bytes]:
    """The encoder of sparse words: `(bytes, paper pixel) -> payload`."""
    return encode_sparse_words
