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
    def below(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*map(below, kind.__subclasses__()))

    assert below(inkstream.InkstreamError) <= set(inkstream.__all__)
