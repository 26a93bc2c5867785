"""What README.md tells people to type works, in its order, with real drawings, a real server and a real training."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.sketches import write_labelled

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [shlex.split(line) for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_labelled(tmp_path / "drawings", per_class=10, seed=1)
    (tmp_path / "data").mkdir()
    return tmp_path


class Reader:
    """Does what README says, in a folder, one thing after the other; the server is the one that is running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.server: subprocess.Popen[str] | None = None

    def type(self, words: list[str]) -> str:
        if words[:2] == ["batch-server", "serve"]:
            return self.serve(words)
        words = [self.address if word == "cpu-host:50051" else word for word in words]
        if words[:2] == ["trainer", "fit"]:
            words += ["--epochs", "1"]  # the later one counts
        done = subprocess.run(
            [BIN / words[0], *words[1:]], cwd=self.folder, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, words: list[str]) -> str:
        free_port = [re.sub(r"^(0\.0\.0\.0):50051$", r"\1:0", word) for word in words]
        assert free_port != words, "README's server listens for other machines"
        self.server = subprocess.Popen(
            [BIN / words[0], *free_port[1:]],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line.startswith("listening on ")
        self.address = "127.0.0.1:" + line.strip().rpartition(":")[2]
        return line

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            assert self.server.stdout is not None
            self.server.stdout.close()


@pytest.fixture
def reader(folder: Path) -> Iterator[Reader]:
    reader = Reader(folder)
    yield reader
    reader.stop()


def test_the_examples_work_in_their_order(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    said = {" ".join(words[:2]): reader.type(words) for words in COMMANDS}
    assert "120 drawings in 12 classes" in said["batch-server import"]
    assert (reader.folder / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")
    assert "top-1" in said["trainer evaluate"]
    guesses = (reader.folder / "guesses.csv").read_text().splitlines()
    assert guesses[0] == "key_id,word" and len(guesses) > 5

    (example,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(example.replace("cpu-host:50051", reader.address), "README.md", "exec"), names)
    names["client"].close()
    steps = int(capsys.readouterr().out.split()[-1])
    assert steps == 1, "fewer drawings than a batch of 256"
    assert names["images"].shape[1:] == (64, 64, 3) and names["images"].dtype == "uint8"
    assert names["labels"].shape == names["images"].shape[:1] and names["labels"].dtype == "int32"
    assert names["cursor"] == (2, 0)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[2] for block in blocks("console") for line in block.splitlines()} <= targets


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{page}" for page in os.listdir(ROOT / "docs") if page[-3:] == ".md")]
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
