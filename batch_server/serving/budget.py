"""A budget in bytes that all streams share, given out in the order in which they began to wait."""

import threading
from collections import deque
from collections.abc import Callable


class ByteBudget:
    """Bytes that all streams share.

    Args:
        total_bytes: How many there are.
    """

    def __init__(self, total_bytes: int):
        self.total_bytes = total_bytes
        self._changed = threading.Condition()
        self._free_bytes = total_bytes
        self._waiting: deque[object] = deque()

    def try_take(self, size_bytes: int, leave_bytes: int = 0) -> bool:
        """Takes bytes if they are free and nobody waits for some.

        Args:
            size_bytes: How many.
            leave_bytes: How many must be free afterwards.
        """
        with self._changed:
            if self._waiting or size_bytes + leave_bytes > self._free_bytes:
                return False
            self._free_bytes -= size_bytes
            return True

    def take(self, size_bytes: int, timeout_s: float, given_up: Callable[[], bool]) -> bool:
        """Waits in line for bytes.

        Args:
            size_bytes: How many, at most `total_bytes`.
            timeout_s: Longest wait.
            given_up: Whether they are no longer needed; looked at whenever something changes.

        Returns:
            Whether they were taken.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)

            def ready() -> bool:
                return given_up() or (self._waiting[0] is ticket and size_bytes <= self._free_bytes)

            taken = self._changed.wait_for(ready, timeout_s) and not given_up()
            self._waiting.remove(ticket)
            if taken:
                self._free_bytes -= size_bytes
            self._changed.notify_all()  # the next in line
            return taken

    def give(self, size_bytes: int) -> None:
        """Gives bytes back."""
        with self._changed:
            self._free_bytes += size_bytes
            self._changed.notify_all()

    def wake(self) -> None:
        """Lets those who wait look again whether they have given up."""
        with self._changed:
            self._changed.notify_all()

    @property
    def free_bytes(self) -> int:
        """How many can be taken now."""
        with self._changed:
            return self._free_bytes

    @property
    def taken_bytes(self) -> int:
        """How many are in use now."""
        return self.total_bytes - self.free_bytes
