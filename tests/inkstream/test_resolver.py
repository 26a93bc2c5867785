"""Addresses and names, and what becomes of the list when a look-up fails."""

import socket
from typing import Any

import pytest

from inkstream.errors import InvalidRequest
from inkstream.resolver import AddressBook, parse_targets, resolve_name


def addresses(book: AddressBook) -> list[str]:
    return [endpoint.address for endpoint in book.endpoints()]


def test_addresses_need_no_look_up() -> None:
    book = AddressBook(parse_targets(["a:1", "[::1]:2", "a:1"]), resolve_name)
    assert addresses(book) == ["a:1", "[::1]:2"] and not book.has_names
    assert addresses(AddressBook(parse_targets("10.0.0.5:50051"), resolve_name)) == ["10.0.0.5:50051"]


@pytest.mark.parametrize(
    "target",
    ["", "a", "a:", ":1", "a:0", "a:65536", "a:b", "http://a:1", "::1:5", "a b:1", [], [""], [None], None, 5],
)
def test_what_is_no_address(target: Any) -> None:
    with pytest.raises(InvalidRequest, match="address"):
        parse_targets(target)


def test_every_address_of_a_name_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (host, 50051)) for host in ("10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *name, **options: found)
    book = AddressBook(parse_targets("dns:///batch-server:50051"), resolve_name)
    assert addresses(book) == [] and book.has_names
    book.look_up()
    assert addresses(book) == ["10.0.0.1:50051", "10.0.0.2:50051", "[fd00::7]:50051"]
    assert {endpoint.host for endpoint in book.endpoints()} == {"batch-server"}


def test_a_look_up_that_fails_keeps_the_last_list() -> None:
    answers: dict[str, Any] = {"one": ["10.0.0.1:7"], "two": ["10.0.0.2:7"]}

    def resolver(name: str, port: int) -> list[str]:
        assert port == 7
        if isinstance(answers[name], Exception):
            raise answers[name]
        return answers[name]

    book = AddressBook(parse_targets(["dns:///one:7", "here:7", "dns:///two:7"]), resolver)
    book.look_up()
    assert sorted(addresses(book)) == ["10.0.0.1:7", "10.0.0.2:7", "here:7"] and book.error is None
    for failure in (socket.gaierror(-2, "unknown"), RuntimeError("odd"), [], ["nonsense"]):
        answers |= {"one": failure, "two": ["10.0.0.3:7"]}
        book.look_up()
        assert sorted(addresses(book)) == ["10.0.0.1:7", "10.0.0.3:7", "here:7"]
        assert "one: the name does not resolve" in str(book.error)
    answers["one"] = ["10.0.0.9:7", "10.0.0.3:7"]
    book.look_up()
    assert sorted(addresses(book)) == ["10.0.0.3:7", "10.0.0.9:7", "here:7"] and book.error is None
