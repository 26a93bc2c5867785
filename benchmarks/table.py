"""What a benchmark found: a table, printed as plain text and kept as Markdown."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Table(NamedTuple):
    """Figures of one run.

    Attributes:
        title: A line.
        notes: What was measured and how, whole sentences; may be empty.
        header: Names of the columns, with units.
        rows: Each as long as the header; the first cell names the row, the others are figures.
        figures: Those of the table's figures that `benchmarks.goals` holds against a target, by the name used there.
    """

    title: str
    notes: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    figures: Mapping[str, float] = MappingProxyType({})

    def as_text(self) -> str:
        """For a terminal: aligned columns."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [self.title, *([self.notes] if self.notes else [])]
        for row in (self.header, *self.rows):
            first, *figures = (
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join((first, *figures)).rstrip())
        return "\n".join(lines) + "\n"

    def as_markdown(self) -> str:
        """For a page."""
        rows = (self.header, ("---", *("---:" for _ in self.header[1:])), *self.rows)
        lines = [f"## {self.title}", "", *([self.notes, ""] if self.notes else [])]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
