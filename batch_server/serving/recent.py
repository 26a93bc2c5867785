"""What happened lately: tables that forget, and sums in which the past fades."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

# A sum's past counts half after so long: long enough to be steady over ranges of a tenth of a second, short enough to
# show a change within a minute.
HALF_LIFE_S = 15.0

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """A table that forgets what nobody has put or touched for a while, and the oldest where there are too many.

    Args:
        keep_s: How long a value is kept.
        most: How many are kept.
        clock: Seconds, monotonic.
    """

    def __init__(self, keep_s: float, most: int, clock: Callable[[], float]):
        self._keep_s, self._most, self._clock = keep_s, most, clock
        self._values: OrderedDict[_Key, tuple[_Value, float]] = OrderedDict()  # the one touched last is at the end

    def put(self, key: _Key, value: _Value) -> None:
        """Remembers a value from now on."""
        self._values[key] = value, self._clock()
        self._values.move_to_end(key)
        self._forget()

    def touch(self, key: _Key, make: Callable[[], _Value]) -> _Value:
        """The value of a key, made if there is none; it is remembered from now on."""
        value = self.get(key)
        if value is None:
            value = make()
        self.put(key, value)
        return value

    def get(self, key: _Key) -> _Value | None:
        """The value of a key, if it is remembered."""
        self._forget()
        value, _ = self._values.get(key, (None, 0.0))
        return value

    def items(self) -> list[tuple[_Key, _Value]]:
        """All that is remembered, the oldest first."""
        self._forget()
        return [(key, value) for key, (value, _) in self._values.items()]

    def _forget(self) -> None:
        oldest = self._clock() - self._keep_s
        while self._values:
            _, touched_at = next(iter(self._values.values()))
            if touched_at > oldest and len(self._values) <= self._most:
                return
            self._values.popitem(last=False)


class DecayingSum:
    """A sum in which an amount counts half after `HALF_LIFE_S`, a quarter after twice that, and so on.

    Args:
        now: Seconds of a monotonic clock, here and below.
    """

    def __init__(self, now: float):
        self._sum, self._at = 0.0, now

    def add(self, amount: float, now: float) -> None:
        """Adds an amount that came about now."""
        self._sum, self._at = self.value(now) + amount, now

    def value(self, now: float) -> float:
        """The sum as it counts now."""
        return self._sum * 0.5 ** ((now - self._at) / HALF_LIFE_S)


def faded_s(duration_s: float) -> float:
    """What the seconds that have just passed count for in a sum whose past fades."""
    return HALF_LIFE_S / math.log(2) * (1 - 0.5 ** (duration_s / HALF_LIFE_S))
