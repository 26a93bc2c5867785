"""The datasets of a folder: what is new is opened, what is replaced stays open for the runs that still use it.

What a client sends never reaches a file path: a name is looked up among those that the folder lists. A dataset is
closed by letting go of it; its map then lives until the last chunk that is being made from it is done.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from batch_server.ordering import split_samples
from batch_server.store.errors import DatasetError
from batch_server.store.reader import Dataset
from inkstream.errors import UnknownDataset
from inkstream.pipeline import Pipeline

_LOG = logging.getLogger(__name__)

SUFFIX = ".lmdb"
LOOK_EVERY_S = 3.0
# A run that uses a replaced dataset asks for a range every few seconds; a pause for a validation takes minutes.
KEEP_REPLACED_S = 600.0
_DEFAULT_VALIDATION = Pipeline(dataset="any", batch_size=1).validation


class Served:
    """An open dataset.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    @functools.cached_property
    def split_samples(self) -> dict[str, int]:
        """Samples of each split at the default validation share, without a filter; counted once.

        Raises:
            RottenColumn: A block of a column does not match its checksum.
        """
        return split_samples(self.dataset, _DEFAULT_VALIDATION)


class _File(NamedTuple):
    """What tells one version of a file from another."""

    inode: int
    size_bytes: int
    changed_ns: int


class Catalog:
    """Knows the finished datasets of a folder.

    Args:
        folder: Where they are; `look` lists it.
        clock: Seconds, monotonic.
        prepare: Done with each dataset before it is served; an OSError is a reason not to.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        prepare: Callable[[Dataset], None] = lambda dataset: None,
    ):
        self._folder, self._clock, self._prepare = folder, clock, prepare
        self._looking = threading.Lock()
        self._lock = threading.Lock()  # never held while a file is opened, so that no request waits for one
        self._files: dict[str, _File] = {}
        self._served: dict[str, Served] = {}
        self._replaced: dict[str, tuple[Served, float]] = {}  # by fingerprint, and when it was last asked for

    def names(self) -> list[str]:
        """Of the datasets, in code-point order."""
        with self._lock:
            return sorted(self._served)

    def open_datasets(self) -> list[Dataset]:
        """All that are open, also those that were replaced or removed lately."""
        with self._lock:
            return [
                *(served.dataset for served in self._served.values()),
                *(served.dataset for served, _ in self._replaced.values()),
            ]

    def by_name(self, name: str) -> Served:
        """The dataset that has a name now.

        Raises:
            UnknownDataset: None has.
        """
        with self._lock:
            served = self._served.get(name)
            known = sorted(self._served)
        if served is None:
            raise UnknownDataset(_no_such_dataset(name, known))
        return served

    def by_fingerprint(self, fingerprint: str, name: str) -> Served | None:
        """The dataset with these contents, also when it was replaced or removed lately.

        Args:
            fingerprint: Of the contents.
            name: Preferred where several files have them: a rotten copy must not stand in for a good one.
        """
        with self._lock:
            by_name = [self._served[name]] if name in self._served else []
            for served in (*by_name, *self._served.values()):
                if served.dataset.fingerprint == fingerprint:
                    return served
            if fingerprint not in self._replaced:
                return None
            served, _ = self._replaced[fingerprint]
            self._replaced[fingerprint] = served, self._clock()
            return served

    def look(self) -> None:
        """Takes note of files that are new, replaced or gone; a file that cannot be used is logged once."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        try:
            found = self._list()
        except OSError as error:
            _LOG.warning("cannot list %s: %s; what was open stays", self._folder, error)
            return
        for name in self._files.keys() - found.keys():
            _LOG.info("dataset %s is gone", name)
            del self._files[name]
            self._serve(name, None)
        for name, file in found.items():
            if self._files.get(name) != file:
                self._files[name] = file
                self._serve(name, self._open(name))
        self._forget()

    def _list(self) -> dict[str, _File]:
        files = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(SUFFIX)
                if name == entry.name or not name or name.startswith(".") or not _is_text(name):
                    continue
                try:
                    if entry.is_file():
                        status = entry.stat()
                        files[name] = _File(status.st_ino, status.st_size, status.st_mtime_ns)
                except OSError:  # deleted meanwhile, or a link to nowhere
                    continue
        return files

    def _open(self, name: str) -> Served | None:
        try:
            dataset = Dataset.open(self._folder / f"{name}{SUFFIX}")
            self._prepare(dataset)
        except (DatasetError, OSError, ValueError) as error:
            _LOG.warning("dataset %s is not served: %s", name, error)
            return None
        _LOG.info("dataset %s: %s samples, fingerprint %s", name, f"{dataset.samples:,}", dataset.fingerprint)
        return Served(dataset)

    def _serve(self, name: str, served: Served | None) -> None:
        """Puts a dataset, or none, in the place of the one that had the name."""
        with self._lock:
            before = self._served.pop(name, None)
            if served is not None:
                self._served[name] = served
            if before is not None:
                self._replaced[before.dataset.fingerprint] = before, self._clock()

    def _forget(self) -> None:
        """Lets go of replaced datasets that no range has asked for lately."""
        oldest = self._clock() - KEEP_REPLACED_S
        with self._lock:
            self._replaced = {key: kept for key, kept in self._replaced.items() if kept[1] > oldest}


class CatalogWatch:
    """Looks at the folder every few seconds, in a thread of its own, until it is stopped."""

    def __init__(self, catalog: Catalog, every_s: float = LOOK_EVERY_S):
        self._catalog, self._every_s = catalog, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._catalog.look()
            except Exception:  # whatever is wrong with one look, the next may be better
                _LOG.exception("looking for datasets failed")


def _is_text(name: str) -> bool:
    """Whether a file name can travel: one that is not UTF-8 has surrogates."""
    return name.isprintable()


def _no_such_dataset(name: str, known: list[str]) -> str:
    near = get_close_matches(name[:200], known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known[:10]) or 'none yet'}"
    return f"this server has no dataset {name[:200]!r}; {hint}"
