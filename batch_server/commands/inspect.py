"""`batch-server inspect`: what is in a dataset."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from batch_server.ordering import split_samples
from batch_server.store.reader import Dataset
from inkstream.command_line import Subcommands
from inkstream.pipeline import Pipeline

EXAMPLES = """examples:
  batch-server inspect data/doodles.lmdb
  batch-server inspect data/doodles.lmdb --json | python3 -m json.tool
  batch-server inspect data/doodles.lmdb --rejects
"""

# `duplicates` is the number of them already.
_MEMBERS = {"rejects": "rejected_rows", "duplicates": "duplicate_rows"}


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "inspect",
        help="what is in a dataset",
        description="Shows what is in a dataset, and what its import left out.",
        epilog=EXAMPLES,
    )
    parser.add_argument("dataset", metavar="DATASET", help="a finished .lmdb file")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--rejects", action="store_true", help="list the rows that the import turned away, and why")
    parser.add_argument("--duplicates", action="store_true", help="list the rows whose key id had come before")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the description.

    Raises:
        DatasetError: The file is not there, cut short, unfinished or rotten.
    """
    dataset = Dataset.open(options.dataset)
    description = describe(dataset)
    lists = [name for name in ("rejects", "duplicates") if getattr(options, name)]
    if options.json:
        listed = {_MEMBERS[name]: list(dataset.entries(name)) for name in lists}
        print(json.dumps(description | listed, ensure_ascii=False))
        return
    _print_table(description)
    for name in lists:
        print(f"\n{name}:")
        for line in _lines(dataset, name):
            print(line)


def describe(dataset: Dataset) -> dict[str, Any]:
    """What `--json` prints; `splits` are those at the default validation share.

    Raises:
        RottenColumn: A block of the key ids does not match its checksum.
    """
    manifest = dataset.manifest
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "samples": dataset.samples,
        "classes": list(dataset.classes),
        "counts": dict(zip(dataset.classes, dataset.class_counts, strict=True)),
        "unlabelled": manifest.unlabelled,
        "splits": split_samples(dataset, Pipeline.validation),
        "fingerprint": dataset.fingerprint,
        "rejected": manifest.rejected,
        "duplicates": manifest.duplicates,
        "bytes": dataset.used_bytes,
        "schema_version": manifest.schema_version,
        "import": manifest.extra,
    }


def _print_table(description: dict[str, Any]) -> None:
    samples, size_bytes = description["samples"], description["bytes"]
    rows = {
        "kind": description["kind"],
        "samples": f"{samples:,}",
        "splits": ", ".join(f"{name} {count:,}" for name, count in description["splits"].items()),
        "unlabelled": f"{description['unlabelled']:,}",
        "rejected": f"{description['rejected']:,}",
        "duplicates": f"{description['duplicates']:,}",
        "size": f"{size_bytes / 1e6:,.1f} MB, {size_bytes / samples:,.0f} bytes per sample",
        "fingerprint": description["fingerprint"],
        "classes": f"{len(description['classes']):,}",
    }
    table = Table(title=description["name"], title_justify="left", box=box.SIMPLE, show_header=False)
    for name, text in rows.items():
        table.add_row(name, text)
    console = Console(highlight=False, markup=False)
    console.print(table)
    console.print(Columns([f"{name} {count:,}" for name, count in description["counts"].items()], padding=(0, 3)))


def _lines(dataset: Dataset, name: str) -> Iterator[str]:
    for entry in dataset.entries(name):
        yield "  " + ", ".join(f"{member} {value}" for member, value in entry.items())
