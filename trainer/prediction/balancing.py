"""Balancing classes: predictions of a test set in which all classes are known to come equally often.

The probabilities form a matrix, samples by classes. Scaling its columns and its rows in turn, until each row sums to 1
and each column to samples / classes, is Sinkhorn's and Knopp's algorithm (1967, Pacific Journal of Mathematics 21). A
sample's guess then depends on all other samples: the statistics of the test set are used.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer.prediction.unfinished import Unfinished

TOLERANCE = 0.001
MOST_ROUNDS = 200
_CHUNK_BYTES = 16 << 20
_LEAST_SHARE = 1e-300  # where probabilities are too small to be summed: the next round sees them larger


class Balance(NamedTuple):
    """What makes the classes equally likely.

    Args:
        factors: Logarithm of each class's, float64 `[classes]`.
        rounds: After so many.
        spread: By which share of the equal one a class's sum of probabilities still differs, at most.
    """

    factors: np.ndarray
    rounds: int
    spread: float

    def applied(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Balanced log-probabilities, float64 `[samples, classes]`, whose rows sum to 1."""
        scaled = log_probabilities + self.factors
        scaled -= scaled.max(axis=1, keepdims=True)
        return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def balance(
    chunks: Callable[[], Iterable[np.ndarray]], classes: int, stopping: Callable[[], bool] = lambda: False
) -> Balance:
    """Finds the factors; ends within `TOLERANCE`, after `MOST_ROUNDS` or when told to stop.

    Args:
        chunks: Log-probabilities of all samples, float `[some, classes]` each; called once a round.
        classes: How many.
        stopping: Asked before each round.
    """
    found = Balance(np.zeros(classes), 0, np.inf)
    while not stopping():
        samples, sums = 0, np.zeros(classes)
        for chunk in chunks():
            samples += len(chunk)
            sums += np.exp(found.applied(chunk)).sum(axis=0)
        shares = sums * classes / samples
        found = found._replace(spread=float(np.abs(shares - 1).max()))
        if found.spread <= TOLERANCE or found.rounds == MOST_ROUNDS:
            break
        found = found._replace(
            factors=found.factors - np.log(np.maximum(shares, _LEAST_SHARE)), rounds=found.rounds + 1
        )
    return found


class Probabilities(Unfinished):
    """The log-probabilities of all samples, on disk: 4 bytes a class and 8 for the key id of each sample.

    Attributes:
        rows: How many samples it has.
    """

    def __init__(self, path: Path, identity: Any, classes: int):
        """Opens it.

        Args:
            path: Of the file; it never gets finished, only discarded.
            identity: As for `Unfinished`.
            classes: How many.
        """
        super().__init__(path, identity)
        self._record = np.dtype([("key_id", "<u8"), ("log_probabilities", "<f4", (classes,))])
        self.rows = self.file.seek(0, 2) // self._record.itemsize

    def keep(self, rows: int) -> None:
        """Forgets all samples after the first `rows`, and goes on behind them."""
        self.file.seek(rows * self._record.itemsize)
        self.file.truncate()
        self.rows = rows

    def append(self, key_ids: np.ndarray, log_probabilities: np.ndarray) -> None:
        """Adds samples: key ids uint64 `[samples]` and log-probabilities float32 `[samples, classes]`."""
        records = np.empty(len(key_ids), self._record)
        records["key_id"], records["log_probabilities"] = key_ids, log_probabilities
        self.file.write(records.tobytes())
        self.file.flush()
        self.rows += len(key_ids)

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Key ids and log-probabilities of all samples, some at a time."""
        size_bytes = max(1, _CHUNK_BYTES // self._record.itemsize) * self._record.itemsize
        self.file.seek(0)
        while data := self.file.read(size_bytes):
            records = np.frombuffer(data, self._record)
            yield records["key_id"], records["log_probabilities"]
