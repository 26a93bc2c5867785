"""What every test may use."""

import os
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "quickdraw"


@pytest.fixture(scope="session")
def quickdraw() -> Path:
    """The folder of real drawings beside the checkout; tests that need it are skipped without it."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real drawings at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not reach the commands under test."""
    for name in [name for name in os.environ if name.startswith("INKSTREAM_")]:
        monkeypatch.delenv(name)
