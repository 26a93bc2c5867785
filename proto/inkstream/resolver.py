"""Names of servers to addresses, looked up again and again: gRPC's own resolver does not notice a server that is added.

A look-up that fails keeps the list that the last one gave, so that a name service that is down stops nobody.
"""

import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from inkstream.errors import InvalidRequest, ServerUnavailable

logger = logging.getLogger("inkstream")

# Host name and port to the addresses, HOST:PORT each, of every server behind it; may raise anything.
Resolver: TypeAlias = Callable[[str, int], Iterable[str]]

_ADDRESS = re.compile(r"(dns:///)?([^\s/\[\]:]+|\[[0-9A-Fa-f:.%]+\]):(\d{1,5})")


class Target(NamedTuple):
    """What a user names: one server, or all that a name stands for.

    Attributes:
        host: Name or address of a host, an IPv6 address in brackets.
        port: 1 to 65,535.
        several: Whether the name is to be looked up for every server behind it.
    """

    host: str
    port: int
    several: bool


class Endpoint(NamedTuple):
    """Where one server listens.

    Attributes:
        address: `HOST:PORT`.
        host: As the user named it, which is what a certificate is for.
    """

    address: str
    host: str


def parse_targets(servers: str | Iterable[str]) -> tuple[Target, ...]:
    """What is named by `HOST:PORT`, `dns:///NAME:PORT`, or several of them.

    Raises:
        InvalidRequest: An address is not of these forms, or there is none.
    """
    texts = [servers] if isinstance(servers, str) else servers
    if not isinstance(texts, Iterable):
        raise InvalidRequest(f"servers must be an address (HOST:PORT or dns:///NAME:PORT) or several, got {servers!r}")
    targets = tuple(dict.fromkeys(_parse(text) for text in texts))
    if not targets:
        raise InvalidRequest("at least one server's address is needed, got none")
    return targets


def resolve_name(name: str, port: int) -> list[str]:
    """The addresses that the system's resolver finds, in an order that does not change.

    Raises:
        OSError: It finds none.
    """
    infos = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
    hosts = sorted({str(info[4][0]) for info in infos})
    return [
        f"[{host}]:{port}" if ipaddress.ip_address(host.partition("%")[0]).version == 6 else f"{host}:{port}"
        for host in hosts
    ]


class AddressBook:
    """The endpoints that targets stand for, as of the last look-up that succeeded.

    Args:
        targets: From `parse_targets`.
        resolver: How a name is looked up.

    Attributes:
        error: Why a name could not be looked up the last time.
    """

    def __init__(self, targets: Sequence[Target], resolver: Resolver):
        self._resolver = resolver
        self._found: dict[Target, tuple[Endpoint, ...] | None] = {
            target: None if target.several else (Endpoint(f"{target.host}:{target.port}", target.host),)
            for target in targets
        }
        self.error: ServerUnavailable | None = None

    @property
    def has_names(self) -> bool:
        """Whether there is anything to look up."""
        return any(target.several for target in self._found)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All that are known, without repetition."""
        known: dict[str, Endpoint] = {}
        for found in self._found.values():
            for endpoint in found or ():
                known.setdefault(endpoint.address, endpoint)
        return tuple(known.values())

    def look_up(self) -> None:
        """Looks every name up anew."""
        failed = None
        for target in self._found:
            if not target.several:
                continue
            try:
                self._found[target] = self._endpoints_of(target)
            except Exception as error:  # a resolver may be anybody's code
                kept = "; the servers found before are kept" if self._found[target] else ""
                failed = ServerUnavailable(
                    f"{target.host}: the name does not resolve ({error}){kept}; check it, or wait for the server"
                )
        if failed is not None and self.error is None:
            logger.warning("%s", failed)
        self.error = failed

    def _endpoints_of(self, target: Target) -> tuple[Endpoint, ...]:
        found = [_parse(address) for address in self._resolver(target.host, target.port)]
        if not found:
            raise LookupError("no address")
        return tuple(Endpoint(f"{each.host}:{each.port}", target.host) for each in found)


def _parse(text: object) -> Target:
    match = _ADDRESS.fullmatch(str(text))
    if match is None or not 0 < int(match[3]) < 65536:
        raise InvalidRequest(f"a server's address must be HOST:PORT or dns:///NAME:PORT, got {text!r}")
    return Target(match[2], int(match[3]), several=bool(match[1]))
