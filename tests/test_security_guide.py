"""What docs/security.md tells people to type works, in its order, with real certificates, servers and a training."""

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inkstream
import trainer.cli
from inkstream.command_line import build_parser
from trainer.commands import arguments

PAGE = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
TINY = "--epochs 1 --batch-size 64 --recognized no --validation 0 --size 16 --encoding gray --devices cpu:2".split()
TIMEOUT_S = 30


class Reader:
    """Does what the page says, in a folder; the server is the one that was started last."""

    def __init__(self, folder: Path, data: Path, start_server: Callable[..., Any]):
        self.folder, self.data, self.start_server = folder, data, start_server
        self.address = ""
        self.done: list[str] = []

    def type(self, line: str) -> None:
        words = shlex.split(line.replace("cpu-host:50051", self.address).replace("doodles", "scribbles"))
        match words[:2]:
            case ["batch-server", "serve"]:
                assert words[2:6] == ["--data", "data", "--listen", "0.0.0.0:50051"]
                server = self.start_server(self.data, *words[6:], listen="0.0.0.0:0")
                self.address = server.address.replace("0.0.0.0", "127.0.0.1")
            case ["trainer", "fit"]:
                assert trainer.cli.main([*words[1:], *TINY]) == 0
            case ["trainer", "evaluate"]:  # the same options; a client is enough to see that they let it in
                with arguments.service(build_parser(trainer.cli.COMMAND).parse_args(words[1:])).connect() as client:
                    assert len(client.datasets()) == 1
            case _:
                subprocess.run(["sh", "-ec", line], cwd=self.folder, check=True, capture_output=True, timeout=60)
        self.done.append(" ".join(words[:2]))


def test_the_page_works_in_its_order(
    tmp_path: Path,
    data_dir: Path,
    start_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, data_dir, start_server)
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 8
    first_token = ""
    for language, block in blocks:
        if language == "python":
            names: dict[str, Any] = {}
            exec(compile(block.replace("cpu-host:50051", reader.address), "security.md", "exec"), names)
            names["client"].close()
            assert capsys.readouterr().out.splitlines()[-1] == "['scribbles']"
            first_token = Path("token").read_text()
            continue
        for line in block.replace("\\\n", " ").splitlines():
            reader.type(line)
        if "mv token.new token" in block:
            Path("first").write_text(first_token)
            assert accepted(reader.address, "token")
            becomes(lambda: not accepted(reader.address, "first"))
    assert reader.done.count("batch-server serve") == 2
    assert Path("runs/first/evaluations.csv").exists()


def accepted(address: str, token_file: str) -> bool:
    with inkstream.connect(address, tls=inkstream.TLS(ca="ca.pem"), token_file=token_file) as client:
        try:
            return len(client.datasets()) == 1
        except inkstream.AccessDenied:
            return False


def becomes(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
