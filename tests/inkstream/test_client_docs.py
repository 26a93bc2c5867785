"""Every example of docs/client.md runs."""

import re
from pathlib import Path
from typing import Any

import inkstream

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"


def test_every_example_runs(fake_server: Any, capsys: Any) -> None:
    server = fake_server(samples=1000)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 10
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block.replace("10.0.0.5:50051", server.address), PAGE.name, "exec"), names)
    names["client"].close()
    printed = capsys.readouterr().out
    for line in (
        "doodles drawing 1,000 samples in 3 classes",
        "16 steps an epoch, 1,000 samples",
        "image uint8 (64, 32, 32, 1)",
        "going on at epoch 1 step 11",
        "rows 16 to 32 of 64",
        "no dataset 'scribbles'",
    ):
        assert line in printed


def test_the_page_names_every_error() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    table = {name: base for name, base in rows if hasattr(inkstream, name)}
    errors = {
        name: value
        for name in inkstream.__all__
        if isinstance(value := getattr(inkstream, name), type)
        and issubclass(value, inkstream.InkstreamError)
        and value is not inkstream.InkstreamError
    }
    assert table.keys() == errors.keys() - {"ServerFull", "ServerDraining"}
    for name, base in table.items():
        assert base in [parent.__name__ for parent in errors[name].__mro__]
