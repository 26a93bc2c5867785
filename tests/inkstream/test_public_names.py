"""What `inkstream` offers is listed, and nothing else is."""

import pytest

import inkstream
from inkstream import public


def test_public_names_are_listed() -> None:
    loaded = sorted(name for name in vars(public) if not name.startswith("_"))
    assert inkstream.__all__ == loaded == dir(inkstream)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = inkstream.conect


def test_public_names_are_documented() -> None:
    assert [name for name in inkstream.__all__ if not getattr(inkstream, name).__doc__] == []


def test_every_error_is_offered() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    # The server's own errors, which other tests load, are none of the client's.
    ours = {kind.__name__ for kind in below(inkstream.InkstreamError) if kind.__module__.startswith("inkstream.")}
    assert ours <= set(inkstream.__all__)
