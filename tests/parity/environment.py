"""The references' environment: `.venv-references` beside `.venv`, from the pins in requirements/references.txt."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "requirements" / "references.txt"
_FOLDER = ROOT / ".venv-references"
_STAMP = _FOLDER / ".stamp"
_INSTALL_TIMEOUT_S = 1800


def references_python() -> Path:
    """The interpreter, once everything is installed: Keras, PyTorch, and the trainer beside them."""
    python = _FOLDER / "bin" / "python"
    if not _STAMP.exists() or _STAMP.stat().st_mtime < PINS.stat().st_mtime:
        print(f"installing {PINS.name} into {_FOLDER.name}: minutes", file=sys.stderr)
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        for command in (
            (sys.executable, "-m", "venv", _FOLDER),
            (*pip, "install", "--requirement", PINS),
            (*pip, "install", "--editable", f"{ROOT}[trainer]"),  # finds its own needs met by the pins, or fails
            (*pip, "check"),
        ):
            subprocess.run(command, check=True, timeout=_INSTALL_TIMEOUT_S)
        _STAMP.touch()
    return python
