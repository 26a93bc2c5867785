"""`trainer runs`: compare runs."""

import argparse
import csv
import sys
from pathlib import Path

from inkstream.command_line import Subcommands
from trainer.records.runs import as_text, find_runs, table

EXAMPLES = """\
examples:
  trainer runs runs
  trainer runs runs --csv > runs.csv

A run is unfinished while it trains or when it was stopped; --resume goes on with it. One is not finite if its numbers
overflowed, see not-finite.json in its folder. The best figures are those of the evaluation that is best by the run's
--monitor.
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "runs",
        help="compare runs",
        description="Lists the runs in a folder with the settings in which they differ and their best figures.",
        epilog=EXAMPLES,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="looked through with all folders in it")
    parser.add_argument("--csv", action="store_true", help="print CSV")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table."""
    rows = table(find_runs(options.folder))
    if not options.csv:
        print(as_text(rows))
        return
    writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: " ".join(map(str, value)) if isinstance(value, list) else value for name, value in row.items()}
        for row in rows
    )
