"""`batch-server inspect`: what is in a dataset, and whether it still is what was written."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from batch_server.commands.datasets import check_dataset
from batch_server.ordering import split_samples
from batch_server.progress import ConsoleProgress
from batch_server.store.errors import RottenColumn
from batch_server.store.reader import Dataset
from batch_server.store.verification import Findings, RottenRecord, Verification, verify
from inkstream.command_line import Failure, Subcommands, UsageError
from inkstream.pipeline import Pipeline

EXAMPLES = """examples:
  batch-server inspect data/doodles.lmdb
  batch-server inspect data/doodles.lmdb --json | python3 -m json.tool
  batch-server inspect data/doodles.lmdb --rejects
  batch-server inspect data/doodles.lmdb --verify
"""

# `duplicates` is the number of them already.
_MEMBERS = {"rejects": "rejected_rows", "duplicates": "duplicate_rows"}


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "inspect",
        help="what is in a dataset",
        description="Shows what is in a dataset and what its import left out, or whether anything in it is rotten.",
        epilog=EXAMPLES,
    )
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a finished .lmdb file")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--rejects", action="store_true", help="list the rows that the import turned away, and why")
    parser.add_argument("--duplicates", action="store_true", help="list the rows whose key id had come before")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read the whole dataset and list what is rotten (then the exit code is 1)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the description, or what is rotten.

    Raises:
        UsageError: Options make no sense together, or there is no file.
        DatasetError: The file is cut short, unfinished or rotten.
        Failure: The dataset was verified, and something in it is rotten.
    """
    lists = [name for name in ("rejects", "duplicates") if getattr(options, name)]
    if options.verify:
        if lists:
            raise UsageError(f"--verify lists what is rotten: leave out {', '.join(f'--{name}' for name in lists)}")
        _verify(check_dataset(options.dataset), options.json)
        return
    dataset = Dataset.open(check_dataset(options.dataset))
    description = describe(dataset, split_samples(dataset, Pipeline.validation))
    if options.json:
        listed = {_MEMBERS[name]: list(dataset.entries(name)) for name in lists}
        print(json.dumps(description | listed, ensure_ascii=False))
        return
    _print_table(description)
    for name in lists:
        print(f"\n{name}:")
        for line in _lines(dataset, name):
            print(line)


def describe(dataset: Dataset, splits: dict[str, int] | None) -> dict[str, Any]:
    """What `--json` prints.

    Args:
        dataset: To be described.
        splits: Samples of each split at the default validation share; None if they cannot be counted.
    """
    manifest = dataset.manifest
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "samples": dataset.samples,
        "classes": list(dataset.classes),
        "counts": dict(zip(dataset.classes, dataset.class_counts, strict=True)),
        "unlabelled": manifest.unlabelled,
        "splits": splits,
        "fingerprint": dataset.fingerprint,
        "rejected": manifest.rejected,
        "duplicates": manifest.duplicates,
        "bytes": dataset.used_bytes,
        "schema_version": manifest.schema_version,
        "import": manifest.extra,
    }


def _verify(path: Path, as_json: bool) -> None:
    """Prints what is rotten, or that nothing is.

    Raises:
        DatasetError: So much is rotten that nothing else can be found.
        Failure: Something is rotten.
    """
    with ConsoleProgress() as progress:
        found = verify(path, lambda done, total: progress.tell("verifying", done, total, f"{done / 1e6:,.0f} MB"))
    dataset = Dataset.open(path)
    if as_json:
        try:
            splits = split_samples(dataset, Pipeline.validation)
        except RottenColumn:  # which is among the findings
            splits = None
        print(json.dumps(describe(dataset, splits) | {"verification": _members(found)}, ensure_ascii=False))
    elif found.sound:
        print(f"{path} is sound: all of its {dataset.samples:,} records, its columns and lists match their checksums")
    else:
        _print_findings(found)
    if not found.sound:
        raise Failure(
            f"{path} is rotten (records: {found.records.count:,} of {dataset.samples:,}, blocks of columns: "
            f"{found.columns.count:,}, other faults: {found.structure.count:,}): copy it again from a good one, or "
            "import the sources again"
        )


def _members(found: Verification) -> dict[str, Any]:
    return {
        "sound": found.sound,
        "fingerprint": found.fingerprint,
        "rotten_records": _listed(found.records, lambda record: record._asdict()),
        "rotten_columns": _listed(found.columns, lambda block: block._asdict()),
        "other_faults": _listed(found.structure, str),
    }


def _listed(findings: Findings[Any], member: Callable[[Any], Any]) -> dict[str, Any]:
    return {"count": findings.count, "first": [member(finding) for finding in findings.first]}


def _print_findings(found: Verification) -> None:
    lines: tuple[tuple[Findings[Any], str, Callable[[Any], str]], ...] = (
        (found.structure, "fault", str),
        (found.columns, "rotten column", lambda rotten: f"{rotten.column}, block {rotten.block}"),
        (found.records, "rotten record", _record_text),
    )
    for findings, name, text in lines:
        for finding in findings.first:
            print(f"{name}: {text(finding)}")
        if findings.count > len(findings.first):
            print(f"{name}: {findings.count - len(findings.first):,} more")


def _record_text(rotten: RottenRecord) -> str:
    return f"sample {rotten.sample}, key id {'unknown' if rotten.key_id is None else rotten.key_id}"


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
