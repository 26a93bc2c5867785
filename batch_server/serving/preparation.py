"""What is done with a dataset before it is served: it is said if it does not fit into memory, and it may be read."""

import logging
import time
from collections.abc import Callable, Sequence

from batch_server.memory_limits import PROGRAM_BYTES, memory_limit, size_text
from batch_server.store.reader import Dataset
from batch_server.store.warming import read_into_memory

_LOG = logging.getLogger(__name__)

# What is done, how many bytes of it, and of how many.
Tell = Callable[[str, int, int], None]


class Preparation:
    """Prepares datasets.

    Args:
        chunk_bytes: What the server may take for chunks, beside the datasets.
        warm: Whether to read each dataset into memory.

    Attributes:
        tell: How far reading is.
        stopped: Whether to give up; it may be set by any thread.
    """

    def __init__(self, chunk_bytes: int, warm: bool):
        self._server_bytes, self._warm = chunk_bytes + PROGRAM_BYTES, warm
        self.tell: Tell = lambda what, done, total: None
        self.stopped = False

    def prepare(self, dataset: Dataset, beside: Sequence[Dataset]) -> None:
        """Prepares one.

        Args:
            dataset: Just opened.
            beside: Those that are open already.

        Raises:
            UnreadableDataset: The disk cannot read it, or it was cut short meanwhile.
        """
        together = [dataset, *beside]
        shortage = memory_limit().shortage(sum(each.used_bytes for each in together), self._server_bytes)
        if shortage:
            _LOG.warning("dataset %s: %s", dataset.name, shortage)
            for each in together:
                each.file.exceeds_memory()
        if not self._warm:
            return
        what = "its columns and offsets" if shortage else size_text(dataset.used_bytes)
        _LOG.info("dataset %s: reading %s into memory", dataset.name, what)
        begun_s = time.monotonic()
        read_into_memory(
            dataset,
            records=not shortage,
            tell=lambda done, total: self.tell(f"reading {dataset.name}", done, total),
            stopped=lambda: self.stopped,
        )
        _LOG.info("dataset %s: read in %.1f s", dataset.name, time.monotonic() - begun_s)
