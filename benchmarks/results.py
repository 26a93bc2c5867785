"""What was measured last, kept in `benchmarks/results/` as JSON: docs/benchmarks.md is generated from it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import machine, versions
from benchmarks.table import Table

FOLDER = Path(__file__).with_name("results")


class Run(NamedTuple):
    """What a benchmark found.

    Attributes:
        date: ISO 8601, UTC.
        where: Drawings, machine and libraries, in a sentence.
        tables: What was found.
    """

    date: str
    where: str
    tables: tuple[Table, ...]

    @property
    def figures(self) -> Mapping[str, float]:
        """Of all tables."""
        return {name: value for table in self.tables for name, value in table.figures.items()}

    def as_json(self) -> str:
        """To keep."""
        tables = [{**table._asdict(), "figures": dict(table.figures)} for table in self.tables]
        return json.dumps({**self._asdict(), "tables": tables}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Run":
        """What `as_json` kept."""
        fields = json.loads(text)
        tables = (
            Table(**{**table, "header": tuple(table["header"]), "rows": [tuple(row) for row in table["rows"]]})
            for table in fields["tables"]
        )
        return cls(**{**fields, "tables": tuple(tables)})


def run_of_today(drawings: str, tables: list[Table]) -> Run:
    """A run on this machine, with the drawings that are said."""
    where = f"{drawings}; {machine()}; {versions()}."
    return Run(datetime.now(UTC).date().isoformat(), where, tuple(tables))


def keep(name: str, run: Run) -> None:
    """Replaces the last run of a benchmark."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(run.as_json())


def kept(name: str) -> Run | None:
    """The last run of a benchmark."""
    path = FOLDER / f"{name}.json"
    return Run.from_json(path.read_text()) if path.exists() else None
