"""Weights of single samples in the loss, from a CSV file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from inkstream.command_line import UsageError

COLUMNS = ["key_id", "weight"]
NAMED = 5  # how many unknown ids a message names


@dataclass(frozen=True, eq=False)
class SampleWeights:
    """Weights of single samples.

    Args:
        key_ids: uint64 `[samples]`, rising.
        weights: float32 `[samples]`.
    """

    key_ids: np.ndarray
    weights: np.ndarray

    @classmethod
    def load(cls, path: Path) -> "SampleWeights":
        """Reads a CSV file with the columns `key_id` and `weight`.

        Raises:
            UsageError: It cannot be read, or a line breaks the rules; names it.
        """
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets may begin a file with a mark
                found = dict(_rows(path, csv.reader(file)))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"--sample-weights {path} cannot be read: {error}") from None
        ids = np.fromiter(found, np.uint64, len(found))
        order = np.argsort(ids)
        return cls(ids[order], np.fromiter(found.values(), np.float32, len(found))[order])

    @property
    def digest(self) -> str:
        """Equal weights, equal digest."""
        return xxhash.xxh3_64_hexdigest(self.key_ids.tobytes() + self.weights.tobytes())

    def of(self, key_ids: np.ndarray) -> np.ndarray:
        """float32 `[rows]` of uint64 `[rows]`: 1 where a sample has no weight."""
        if not len(self.key_ids):
            return np.ones(len(key_ids), np.float32)
        at = np.minimum(np.searchsorted(self.key_ids, key_ids), len(self.key_ids) - 1)
        return np.where(self.key_ids[at] == key_ids, self.weights[at], np.float32(1))

    def check_known(self, batches: Iterable[np.ndarray]) -> None:
        """Refuses ids that are nowhere in a dataset. Looks at no more of it than it must.

        Args:
            batches: The key ids of the dataset, batch by batch.

        Raises:
            UsageError: Says how many and names the first.
        """
        missing = np.ones(len(self.key_ids), bool)
        for key_ids in batches:
            missing &= ~np.isin(self.key_ids, key_ids)
            if not missing.any():
                return
        if unknown := self.key_ids[missing].tolist():
            named = ", ".join(map(str, unknown[:NAMED])) + (" ..." if len(unknown) > NAMED else "")
            raise UsageError(
                f"--sample-weights has {len(unknown):,} key ids of {len(missing):,} that are not in the dataset: "
                f"{named}. Remove them, or choose another --dataset"
            )


def _rows(path: Path, lines: Iterable[list[str]]) -> Iterable[tuple[int, float]]:
    """Key ids and weights of the lines of a file, checked."""
    numbered = enumerate(lines, start=1)
    _, heading = next(numbered, (1, []))
    if heading != COLUMNS:
        raise UsageError(
            f"--sample-weights {path} must begin with the line {','.join(COLUMNS)}, got {','.join(heading)}"
        )
    seen = set()
    for number, cells in numbered:
        if not cells:
            continue  # an empty line
        try:
            key_id, weight = int(cells[0]), float(cells[1])
            good = len(cells) == 2 and 0 <= key_id < 2**64 and 0 <= weight <= 1e6 and key_id not in seen
        except (ValueError, IndexError):
            good = False
        if not good:
            raise UsageError(
                f"--sample-weights {path}, line {number}: must be a key id, once in the file, and a weight from 0 to "
                f"1,000,000, got {','.join(cells)}"
            )
        seen.add(key_id)
        yield key_id, weight
