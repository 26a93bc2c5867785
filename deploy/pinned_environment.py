"""Environments beside `.venv`, from pinned files: for programs whose libraries are too large for it, or do not fit."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_INSTALL_TIMEOUT_S = 1800


def python_with(pins: Path, extra: str = "") -> Path:
    """The interpreter of `.venv-NAME`, once all that requirements/NAME.txt pins is installed there, and Inkstream too.

    Args:
        pins: The file.
        extra: Of Inkstream's extras, which it comes with: `[trainer]`; without one it is the client alone.

    Raises:
        subprocess.SubprocessError: It cannot be installed.
    """
    folder = ROOT / f".venv-{pins.stem}"
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    if not stamp.exists() or stamp.stat().st_mtime < pins.stat().st_mtime:
        print(f"installing {pins.name} into {folder.name}: minutes", file=sys.stderr)
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        for command in (
            (sys.executable, "-m", "venv", folder),
            (*pip, "install", "--requirement", pins),
            (*pip, "install", "--editable", f"{ROOT}{extra}"),  # finds its own needs met by the pins, or fails
            (*pip, "check"),
        ):
            subprocess.run(command, check=True, timeout=_INSTALL_TIMEOUT_S)
        stamp.touch()
    return python
