"""Values that follow their files."""

import logging
from pathlib import Path
from typing import Any

import pytest

from inkstream.credentials import read_tokens
from inkstream.reloading import Contents, Reloaded


def number(contents: Contents) -> int:
    return sum(map(int, contents.values()))


def test_a_value_follows_its_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("1")
    value = Reloaded(paths, number, look_every_s=0)
    assert value.current() == 2
    paths[1].write_text("2")  # of the same size
    assert value.current() == 3
    paths[0].rename(tmp_path / "c")
    (tmp_path / "d").write_text("40")
    (tmp_path / "d").rename(paths[0])
    assert value.current() == 42


def test_files_are_looked_at_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    value = Reloaded([path], number, look_every_s=3600)
    path.write_text("2")
    assert value.current() == 1


def test_a_value_is_the_same_object_while_its_files_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    value = Reloaded([path], lambda contents: object(), look_every_s=0)
    first = value.current()
    path.write_text("1")
    assert value.current() is first
    path.write_text("2")
    assert value.current() is not first


@pytest.mark.parametrize(
    "break_it", [Path.unlink, lambda path: path.write_text("one"), lambda path: path.write_text("")]
)
def test_what_makes_no_sense_is_said_once_and_changes_nothing(
    break_it: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    value = Reloaded([path], number, look_every_s=0)
    break_it(path)
    with caplog.at_level(logging.WARNING):
        assert [value.current() for _ in range(3)] == [1, 1, 1]
        assert len(caplog.records) == 1
        path.write_text("2")
        assert value.current() == 2
        break_it(path)
        assert value.current() == 2
    assert len(caplog.records) == 2
    assert "going on with what was read before" in caplog.text


def test_a_first_value_must_make_sense(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(OSError, match=r"cannot read .*a: No such file"):
        Reloaded([path], number)
    path.write_text("one")
    with pytest.raises(ValueError, match="one"):
        Reloaded([path], number)


def test_tokens_are_lines_and_others_are_named_by_number_alone() -> None:
    path = Path("tokens")
    old, new = "abcdefghijklmnop", "A-Za-z0-9._~+/zzzz=="
    assert read_tokens({path: f"\n{old}\r\n  {new} \n\n".encode()}) == (old, new)
    for secret in ("short", "two words in a line", "x" * 1025, "schlüssel-schlüssel", "#comment-comment-comment"):
        with pytest.raises(ValueError, match=r"tokens, line 2: a token must be 16 to 1024") as refused:
            read_tokens({path: f"{old}\n{secret}".encode()})
        assert secret not in str(refused.value) and old not in str(refused.value)
    for nothing in (b"", b"\n \n"):
        with pytest.raises(ValueError, match="is empty"):
            read_tokens({path: nothing})
