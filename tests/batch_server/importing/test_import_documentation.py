"""The examples of docs/import.md do what the page says."""

import gzip
import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from batch_server.commands import import_drawings, inspect
from batch_server.store.reader import Dataset
from inkstream.command_line import Command, run_command

PAGE = Path(__file__).parents[3] / "docs" / "import.md"
COMMAND = Command(
    "batch-server", "Only what the page shows.", {"import": lambda: import_drawings, "inspect": lambda: inspect}
)


def examples() -> list[tuple[str, str]]:
    """Commands and what the page says they print."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1]) for part in parts]


def drawing(number: int) -> list[list[list[int]]]:
    return [[[number, 20, 30], [40, 50, number]]]


@pytest.fixture
def files_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("train_simplified.zip", "w") as archive:
        for label, word in enumerate(("cat", "power outlet")):
            lines = ["countrycode,drawing,key_id,recognized,timestamp,word"]
            lines += [
                f'US,"{json.dumps(drawing(number))}",{1 + 30 * label + number},True,2017-03-08 21:12:07.266040,{word}'
                for number in range(30)
            ]
            archive.writestr(f"{word}.csv", "\n".join(lines))
    lines = ["key_id,countrycode,drawing", *(f'{number},US,"{json.dumps(drawing(number))}"' for number in range(1, 11))]
    Path("test_simplified.csv").write_text("\n".join(lines))
    Path("culture").mkdir()
    for name in ("AF_car.jsonl", "culture/SA_car.jsonl"):
        country = Path(name).name[:2]
        rows = (json.dumps({"countrycode": country, "drawing": drawing(number)}) for number in range(10))
        Path(name).write_text("\n".join(rows))
    Path("mixed").mkdir()
    Path("mixed/LICENSE").write_text("free\n")
    good = json.dumps({"word": "cat", "key_id": "5", "drawing": drawing(1)})
    rows = [
        good,
        good.replace('"5"', '""'),
        good.replace("20", "256").replace('"5"', '"6"'),
        good.replace('"5"', '"7"'),
    ]
    Path("mixed/a.ndjson").write_text("\n".join(rows))
    Path("mixed/b.ndjson.gz").write_bytes(gzip.compress(good.encode()))


def rot(sound: Path, rotten: Path) -> None:
    """Copies a dataset; its last record and its times of drawing are then rotten."""
    copy, places = bytearray(sound.read_bytes()), Dataset.open(sound).places
    for name in ("records", "timestamp"):
        copy[places[name][-1].sum() - 1] ^= 1
    rotten.write_bytes(copy)


def test_there_are_examples():
    assert len(examples()) >= 5


def test_the_examples_print_what_the_page_says(files_of_the_page, capfd):
    for command, said in examples():
        program, *words = shlex.split(command)
        assert program == "batch-server"
        if "data/rotten.lmdb" in words:
            rot(Path("data/doodles.lmdb"), Path("data/rotten.lmdb"))
        code = run_command(COMMAND, words)
        out, err = capfd.readouterr()
        err = re.sub(r"(?m)^(looking|reading|writing|verifying|compiling) .*\n", "", err)  # if slow or new
        assert said in [re.sub(r"\b[0-9a-f]{32}\b", "...", text) for text in (err + out, out + err)], command
        assert code == (2 if said.startswith("batch-server: ") else 1 if "\nbatch-server: " in said else 0)


def test_help_shows_examples_and_defaults(capsys):
    assert run_command(COMMAND, ["import", "--help"]) == 0
    text = capsys.readouterr().out
    assert "batch-server import train_simplified.zip --dataset data/doodles.lmdb" in text
    assert "INKSTREAM_WORKERS" in text
