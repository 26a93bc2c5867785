"""Measures, for a given time, what this machine can deliver of a dataset."""

import dataclasses
import resource
from itertools import count

from batch_server.doctor.diagnosis import CompressionFigures, Figures
from batch_server.doctor.workload import Rate, Task, Workload, endless
from batch_server.memory_limits import PROGRAM_BYTES, memory_limit
from batch_server.serving.read_ahead import ReadAhead
from batch_server.store.reader import Dataset
from inkstream.command_line import leaving_at_once
from inkstream.compression import COMPRESSIONS, DEFAULT_COMPRESSION
from inkstream.pipeline import Pipeline
from inkstream.processors import UseMeter, bound_cores, cpu_quota

# Shares of the time: with the data as they lie, for the stages on one thread, for the compressions on all threads.
_FOUND, _STAGES, _ALL_THREADS = 0.25, 0.4, 0.35
# Each stage is measured so often, in turn with the others; the least counts, since what disturbs only adds.
_ROUNDS = 3
# A smaller picture than this is not proposed.
_LEAST_SIZE_PX = 32
_HALF_SIZE = "half size"
_BLOCK_BYTES = 512  # of which the system counts what is read from the disk


def measure(dataset: Dataset, pipeline: Pipeline, *, threads: int, seconds: float, chunk_memory_bytes: int) -> Figures:
    """Measures all of a server's work on all threads, and each part of it on one thread.

    Args:
        dataset: What is served.
        pipeline: What is asked for.
        threads: That draw.
        seconds: How long all measurements together take; kernels may have to be compiled before.
        chunk_memory_bytes: What a server may take for chunks, `serve --memory`.

    Raises:
        InvalidPipeline: The filter names classes that the dataset does not have.
        EmptySplit: No sample passes split and filter.
    """
    work = Workload(dataset, pipeline)
    names = (DEFAULT_COMPRESSION, *(name for name in COMPRESSIONS if name != DEFAULT_COMPRESSION))
    tasks = {"read": work.read, "draw": work.draw} | {name: work.message(name) for name in names}
    half = pipeline.render.size // 2
    if half >= _LEAST_SIZE_PX:
        smaller = pipeline.replace(render=dataclasses.replace(pipeline.render, size=half))
        tasks[_HALF_SIZE] = Workload(dataset, smaller).draw
    with leaving_at_once():  # a compiler that is interrupted prints what nobody can use
        _compile(work, tasks)
    meter, quota = UseMeter(), cpu_quota()

    before, read_ahead = _disk_bytes(), ReadAhead()
    served = work.message_read_ahead(names[0], read_ahead)
    found = work.rate(served, names[0], threads=threads, seconds=_FOUND * seconds, numbers=count())
    read_ahead.stop()
    disk_bytes = _disk_bytes() - before

    one = _on_one_thread(work, tasks, found.chunks, _STAGES * seconds)
    on_all = {
        name: work.rate(
            tasks[name],
            name,
            threads=threads,
            seconds=_ALL_THREADS * seconds / len(names),
            numbers=endless(found.chunks),
        )
        for name in names
    }
    use = meter.so_far()
    return Figures(
        threads=threads,
        cores=bound_cores(),
        quota_cores=quota.cores if quota else None,
        held_back=use.held_back,
        other_cores=use.others,
        found_per_s=found.per_s,
        disk_bytes=disk_bytes,
        shortage=memory_limit().shortage(dataset.used_bytes, chunk_memory_bytes + PROGRAM_BYTES),
        read_s=one["read"],
        draw_s=max(0.0, one["draw"] - one["read"]),
        half_size_draw_s=max(0.0, one[_HALF_SIZE] - one["read"]) if _HALF_SIZE in one else None,
        compressions={name: _of_compression(one[name] - one["draw"], one[name], on_all[name]) for name in names},
    )


def _compile(work: Workload, tasks: dict[str, Task]) -> None:
    """Does everything once, of one chunk, so that no kernel is compiled while the clock runs."""
    for task in tasks.values():
        task(work.position(0, DEFAULT_COMPRESSION))


def _on_one_thread(work: Workload, tasks: dict[str, Task], chunks: int, seconds: float) -> dict[str, float]:
    """Seconds of a row by task, of chunks that are in memory."""
    share = seconds / (_ROUNDS * len(tasks))
    rounds = [
        {
            name: work.rate(
                task,
                name if name in COMPRESSIONS else DEFAULT_COMPRESSION,
                threads=1,
                seconds=share,
                numbers=endless(chunks),
            ).cpu_s
            for name, task in tasks.items()
        }
        for _ in range(_ROUNDS)
    ]
    return {name: min(each[name] for each in rounds) for name in tasks}


def _of_compression(encode_s: float, all_s: float, rate: Rate) -> CompressionFigures:
    return CompressionFigures(max(0.0, encode_s), 1 / all_s, rate.per_s, rate.bytes_per_row)


def _disk_bytes() -> int:
    """What this process has had read from the disk since it started."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock * _BLOCK_BYTES
