"""How much memory a stream may hold: batches that are not delivered yet, and messages that are on their way.

gRPC buffers whatever a server sends, 20 to 75 MiB a stream if nobody reads. So memory for the whole of a range is
reserved before it is asked for, and what was asked for is always read.
"""

from inkstream.errors import InvalidRequest

DEFAULT_BUDGET_BYTES = 512 << 20


class Budget:
    """A number of bytes to share out. Its owner's lock guards it.

    Args:
        total_bytes: The number.
        least_bytes: The largest share that will be asked for at once.
        reserve_bytes: Kept for second copies of ranges, which are needed most when memory is full of what waits for
            the range that is late.

    Raises:
        InvalidRequest: The budget cannot hold that share.
    """

    def __init__(self, total_bytes: int, least_bytes: int, reserve_bytes: int = 0):
        least_bytes += reserve_bytes
        if total_bytes < least_bytes:
            raise InvalidRequest(
                f"memory_bytes must be at least {least_bytes:,} to hold one batch of this pipeline and the range it "
                f"comes in, got {total_bytes:,}: raise it, or use smaller batches or more shards"
            )
        self.total_bytes = total_bytes
        self.free_bytes = total_bytes
        self._reserve_bytes = reserve_bytes

    def take(self, size_bytes: int, second: bool = False) -> bool:
        """Takes a share if there is room for it.

        Args:
            size_bytes: How large it is.
            second: Whether it is for a second copy, which may use the reserve.
        """
        if size_bytes > self.free_bytes - (0 if second else self._reserve_bytes):
            return False
        self.free_bytes -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Returns a share, or a part of one."""
        self.free_bytes += size_bytes
        assert self.free_bytes <= self.total_bytes
