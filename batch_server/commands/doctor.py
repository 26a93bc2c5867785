"""`batch-server doctor`: what this machine can deliver, and what limits it."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from batch_server.commands.datasets import check_dataset
from batch_server.commands.pictures import (
    PICTURE_DEFAULTS,
    add_augment,
    add_render,
    augment,
    described,
    own_settings,
    render,
)
from batch_server.doctor.diagnosis import Figures, diagnose
from batch_server.doctor.measuring import measure
from batch_server.memory_limits import LEAST_CHUNKS_MIB
from batch_server.store.reader import Dataset
from inkstream.command_line import Subcommands, UsageError
from inkstream.diagnosis import Diagnosis, megabytes, needed_link
from inkstream.pipeline import SPLITS, Pipeline
from inkstream.pipeline_file import PipelineFile
from inkstream.processors import usable_cores

_BATCH_SIZE = 256
_MOST_SECONDS = 600.0

_EPILOG = """\
It needs no server and no trainer, but compares best on a machine with nothing else to do: it reads, draws and encodes
as a server does, on all threads and on one, and does not send. What limits is one of
  disk      drawings come from the disk: more memory, serve --warm, a faster disk
  quota     the container's share of the processors is used up
  reading, drawing or encoding, whichever takes most of a thread's time: more processors, more servers, smaller pictures

examples:
  batch-server doctor data/doodles.lmdb --rotate-deg 10 --shift 0.05 --scale 0.9 1.1
  batch-server doctor data --pipeline runs/first/pipeline.json
  batch-server doctor data --size 64 --seconds 4 --json

`trainer doctor` measures from the other end: whether the device, the link or the servers limit a training.
"""

_DEFAULTS: dict[str, Any] = {"split": "train", "batch_size": _BATCH_SIZE, **PICTURE_DEFAULTS}


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "doctor",
        help="measure what this machine can deliver, and what limits it",
        description="Measures for ten seconds what this machine can deliver of a dataset, and says what limits it.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET",
        help="a finished .lmdb file, or a folder of them: then the pipeline file's, or the largest",
    )
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), metavar="N", help="threads that draw, as of serve"
    )
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB", help="memory for chunks, as of serve")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long to measure")
    parser.add_argument(
        "--pipeline", type=Path, metavar="FILE", help="the pipeline file in a run's folder, for all below"
    )
    parser.add_argument("--split", choices=SPLITS, default=_DEFAULTS["split"], help="which samples")
    parser.add_argument("--batch-size", type=int, default=_BATCH_SIZE, metavar="N", help="of the global batch")
    add_render(parser)
    add_augment(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints figures and what limits.

    Raises:
        UsageError: Options make no sense, or not together, or there is no file.
        InvalidPipeline: A setting breaks its rule.
    """
    _check(options)
    file = None if options.pipeline is None else PipelineFile.load(options.pipeline)
    dataset = Dataset.open(check_dataset(_dataset_path(options.dataset, file)))
    pipeline = _pipeline(options, dataset) if file is None else file.pipeline
    if not options.json:
        print(f"measuring for {options.seconds:g} s ...", file=sys.stderr, flush=True)
    figures = measure(
        dataset,
        pipeline,
        threads=options.threads,
        seconds=options.seconds,
        chunk_memory_bytes=options.memory << 20,
    )
    diagnosis = diagnose(figures, pipeline)
    if options.json:
        print(json.dumps(_record(dataset, pipeline, figures, diagnosis), indent=2))
    else:
        print(_text(dataset, pipeline, figures, diagnosis))


def _check(options: argparse.Namespace) -> None:
    if options.memory < LEAST_CHUNKS_MIB:
        raise UsageError(f"--memory must be at least {LEAST_CHUNKS_MIB} MiB, as of serve, got {options.memory}")
    for name in ("threads", "batch_size"):
        value = getattr(options, name)
        if value < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if not 0.1 <= options.seconds <= _MOST_SECONDS:
        raise UsageError(f"--seconds must be from 0.1 to {_MOST_SECONDS:g}, got {options.seconds:g}")
    if options.pipeline is None:
        return
    if not options.pipeline.is_file():
        raise UsageError(f"--pipeline must be a file, {options.pipeline} is none: it is in the run's folder")
    own = own_settings(options, _DEFAULTS)
    if own:
        raise UsageError(f"--pipeline decides how batches are drawn: leave out {', '.join(own)}")


def _dataset_path(path: Path, file: PipelineFile | None) -> Path:
    """The dataset that was named; of a folder the pipeline's, or the largest."""
    if not path.is_dir():
        return path
    if file is not None:
        return path / f"{file.pipeline.dataset}.lmdb"
    found = sorted(path.glob("*.lmdb"), key=lambda each: each.stat().st_size)
    if not found:
        raise UsageError(f"DATASET must be a finished .lmdb file or a folder with one, {path} has none")
    return found[-1]


def _pipeline(options: argparse.Namespace, dataset: Dataset) -> Pipeline:
    return Pipeline(
        dataset=dataset.name,
        split=options.split,
        batch_size=options.batch_size,
        render=render(options),
        augment=augment(options),
    )


def _record(dataset: Dataset, pipeline: Pipeline, figures: Figures, diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        **diagnosis._asdict(),
        "dataset": dataset.name,
        "samples": dataset.samples,
        "bytes": dataset.used_bytes,
        "pipeline": described(pipeline),
        "figures": dataclasses.asdict(figures),
    }


def _text(dataset: Dataset, pipeline: Pipeline, figures: Figures, diagnosis: Diagnosis) -> str:
    quota = f", of which a quota pays for {figures.quota_cores:g}" if figures.quota_cores is not None else ""
    memory = "which do not fit into memory" if figures.shortage else "which fit into memory"
    lines = [
        f"{dataset.name}: {dataset.samples:,} samples, {dataset.used_bytes / 1e6:,.1f} MB, {memory}",
        f"asked for: {', '.join(described(pipeline))}, {pipeline.batch_size:,} in a batch",
        f"{_count(figures.threads, 'thread')} on {_count(figures.cores, 'processor')}{quota}",
        "",
        "of a thread, in microseconds for a drawing:  "
        f"reading {1e6 * figures.read_s:.2f}, drawing {1e6 * figures.draw_s:.2f}",
        "",
        f"{'compression':11}  {'encoding':>8}  {'1 thread':>10}  {'all threads':>11}  {'bytes each':>10}  "
        f"{'on the wire':>11}  needs",
    ]
    for name, each in figures.compressions.items():
        lines.append(
            f"{name:11}  {1e6 * each.encode_s:8.2f}  {each.one_thread_per_s:8,.0f}/s  "
            f"{each.all_threads_per_s:9,.0f}/s  {each.wire_bytes:10,.0f}  {megabytes(each.wire_bytes_per_s):>11}  "
            f"{needed_link(each.wire_bytes_per_s)}"
        )
    return "\n".join([*lines, "", diagnosis.as_text()])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
