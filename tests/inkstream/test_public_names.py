"""What `inkstream` offers is listed, and nothing else is."""

import inkstream


def test_public_names_are_listed() -> None:
    modules = type(inkstream)
    named = {
        name for name, value in vars(inkstream).items() if not name.startswith("_") and not isinstance(value, modules)
    }
    assert inkstream.__all__ == sorted(named)


def test_public_names_are_documented() -> None:
    assert [name for name in inkstream.__all__ if not getattr(inkstream, name).__doc__] == []


def test_every_error_is_offered() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    # The server's own errors, which other tests load, are none of the client's.
    ours = {kind.__name__ for kind in below(inkstream.InkstreamError) if kind.__module__.startswith("inkstream.")}
    assert ours <= set(inkstream.__all__)
