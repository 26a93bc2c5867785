"""The packed records of several samples in one piece of memory, as kernels take them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Records:
    """The records of n samples, back to back.

    Args:
        data: uint8 `[bytes]`.
        offsets: int64 `[n + 1]`, from 0 to the number of bytes; record i is `data[offsets[i]:offsets[i + 1]]`.
        rotten: bool `[n]`, whether the stored record did not match its checksum or its structure; it is empty here.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    rotten: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, records: Sequence[bytes]) -> "Records":
        """Puts single records together."""
        offsets = np.zeros(len(records) + 1, np.int64)
        np.cumsum([len(record) for record in records], out=offsets[1:])
        return cls(np.frombuffer(bytearray().join(records), np.uint8), offsets, np.zeros(len(records), np.bool_))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        """One record; negative indices count from the end."""
        first = range(len(self))[index]
        return self.data[self.offsets[first] : self.offsets[first + 1]].tobytes()

    def part(self, start: int, stop: int) -> "Records":
        """The records `start` to `stop` (exclusive); they share the memory of these."""
        offsets = self.offsets[start : stop + 1]
        return Records(self.data[offsets[0] : offsets[-1]], offsets - offsets[0], self.rotten[start:stop])

    def followed_by(self, others: "Records") -> "Records":
        """These records and then the others, in new memory."""
        return Records(
            np.concatenate((self.data, others.data)),
            np.concatenate((self.offsets, others.offsets[1:] + self.offsets[-1])),
            np.concatenate((self.rotten, others.rotten)),
        )
