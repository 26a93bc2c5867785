"""What a process holds, as Linux tells it."""

import os
import threading
from collections import Counter
from pathlib import Path

MIB = 1 << 20


def anonymous_bytes(pid: int) -> int:
    """Its anonymous memory: what it allocated itself, without mapped files such as datasets.

    Args:
        pid: The process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the kernel does not tell RssAnon")


def threads(pid: int) -> int:
    """How many threads it has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def descriptors(pid: int) -> Counter[str]:
    """Its open descriptors, counted by kind: `socket`, or a path."""
    kinds: Counter[str] = Counter()
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            kinds[os.readlink(f"/proc/{pid}/fd/{number}").partition(":")[0]] += 1
        except FileNotFoundError:  # closed meanwhile
            continue
    return kinds


class Peak:
    """The most anonymous memory of a process while this context lasts.

    Args:
        pid: The process.

    Attributes:
        peak_bytes: So far.
    """

    _EVERY_S = 0.05

    def __init__(self, pid: int):
        self.peak_bytes = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._EVERY_S):
            self.peak_bytes = max(self.peak_bytes, anonymous_bytes(self._pid))
