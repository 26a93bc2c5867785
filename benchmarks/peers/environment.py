"""The environment that the peers run in: `.venv-peers` beside `.venv`, from the pins in requirements/peers.txt."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "requirements" / "peers.txt"
_FOLDER = ROOT / ".venv-peers"
_STAMP = _FOLDER / ".stamp"
_INSTALL_TIMEOUT_S = 1800
_COMPARED = ("torch", "grain", "tensorflow-cpu", "opencv-python-headless", "lmdb", "orjson")


def peers_python() -> Path:
    """The interpreter, once everything is installed: the frameworks, and Inkstream's client beside them."""
    python = _FOLDER / "bin" / "python"
    if not _STAMP.exists() or _STAMP.stat().st_mtime < PINS.stat().st_mtime:
        print(f"installing {PINS.name} into {_FOLDER.name}: minutes", file=sys.stderr)
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        for command in (
            (sys.executable, "-m", "venv", _FOLDER),
            (*pip, "install", "--requirement", PINS),
            (*pip, "install", "--editable", ROOT),  # finds its own needs met by the pins, or fails
            (*pip, "check"),
        ):
            subprocess.run(command, check=True, timeout=_INSTALL_TIMEOUT_S)
        _STAMP.touch()
    return python


def peers_versions() -> str:
    """One line: what is compared, as it is pinned."""
    pins = dict(line.split("==") for line in PINS.read_text().split())
    return ", ".join(f"{name} {pins[name]}" for name in _COMPARED)
