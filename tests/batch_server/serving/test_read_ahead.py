from collections.abc import Callable
from pathlib import Path

import pytest

from batch_server.batches import BatchMaker
from batch_server.memory_limits import MemoryLimit
from batch_server.serving.read_ahead import DiskReads, ReadAhead
from batch_server.store import mapped_file
from batch_server.store.reader import Dataset
from inkstream.chunking import Span
from inkstream.pipeline import Pipeline


class Disk:
    """A clock and a count of bytes that a test moves."""

    def __init__(self) -> None:
        self.now_s, self.read_bytes = 0.0, 0
        self.reads = DiskReads(lambda: self.now_s, lambda: self.read_bytes)

    def lately(self, passed_s: float, read_bytes: int) -> bool:
        self.now_s += passed_s
        self.read_bytes += read_bytes
        return self.reads.lately()


def test_the_disk_is_needed_while_the_process_reads_much_from_it() -> None:
    disk = Disk()
    assert not disk.lately(1.0, 0)
    assert not disk.lately(1.0, 64 << 10)
    assert disk.lately(1.0, 8 << 20)
    assert disk.lately(0.1, 0)  # too soon to say that it has ended
    assert not disk.lately(1.0, 0)


@pytest.mark.parametrize(("memory_bytes", "asked"), [(1 << 40, []), (1, [7])])
def test_only_what_may_have_to_be_read_is_asked_for(
    tmp_path: Path,
    write_dataset: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    memory_bytes: int,
    asked: list[int],
) -> None:
    monkeypatch.setattr(mapped_file, "memory_limit", lambda: MemoryLimit(memory_bytes, of_container=True))
    write_dataset(tmp_path / "doodles.lmdb")
    dataset = Dataset.open(tmp_path / "doodles.lmdb")
    found: list[int] = []
    monkeypatch.setattr(dataset, "ask_ahead", lambda indices: found.append(len(indices)))
    maker = BatchMaker(dataset, Pipeline(dataset="doodles", batch_size=32))
    ahead = ReadAhead()
    monkeypatch.setattr(ahead, "_disk", Disk().reads)
    ahead.ask(maker, 0, 1, Span(3, 10))
    ahead._pool.shutdown()  # waits for what was asked
    assert found == asked
