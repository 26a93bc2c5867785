"""Addresses to listen on: HOST:PORT, and whether one reaches beyond this machine."""

import ipaddress
import socket
from typing import NamedTuple

from inkstream.command_line import UsageError


class ListenAddress(NamedTuple):
    """Where to listen.

    Attributes:
        host: A name or an address, without the brackets of IPv6.
        port: 0 picks a free one.
    """

    host: str
    port: int


def parse_listen_address(option: str, text: str) -> ListenAddress:
    """Reads HOST:PORT.

    Args:
        option: What the user calls it: `--listen`.
        text: What the user gave.

    Raises:
        UsageError: It is no such address.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise UsageError(f"{option} must be HOST:PORT with a port from 0 to 65535, got {text!r}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UsageError(f"{option} needs brackets around an IPv6 address, as in [::1]:50051, got {text!r}")
    return ListenAddress(host.removeprefix("[").removesuffix("]"), int(port))


def is_loopback(option: str, address: ListenAddress) -> bool:
    """Whether a host's every address is this machine's own.

    Raises:
        UsageError: The host is unknown.
    """
    try:
        found = socket.getaddrinfo(address.host, None)
    except OSError as error:
        raise UsageError(f"{option}: the host {address.host!r} is unknown ({error})") from error
    return all(is_loopback_ip(str(place[0])) for *_, place in found)


def is_loopback_ip(text: str) -> bool:
    """Whether an IP address, with or without a scope, is this machine's own; an IPv4 one may stand in an IPv6 one."""
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_loopback
