"""When a range is late, and what is done about it. Pure: states in, decisions out.

Hedged requests after Dean and Barroso 2013, "The Tail at Scale". A slow server and a dead one need other remedies: a
second copy, a *hedge*, costs the work twice, so it is rationed; a server that answers no probe either does not work at
all, so its ranges are *moved*, all of them.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

_Server = TypeVar("_Server", bound=Hashable)

# A range is late after three times the median of recent ones, at least a second: below that a hedge gains nothing.
LEAST_LATE_S = 1.0
LATE_FACTOR = 3.0
_RECENT = 64
# A server is probed when a range has taken this part of the time after which it is late. The rest of that time is what
# a living but busy server has for its answer.
_PROBE_AFTER = 0.25
# Hedges, of all ranges.
HEDGE_SHARE = 0.1


class Lateness:
    """After how long a range is late, from how long recent ones took."""

    def __init__(self) -> None:
        self._recent_s: deque[float] = deque(maxlen=_RECENT)

    def took(self, duration_s: float) -> None:
        """A range was read."""
        self._recent_s.append(duration_s)

    @property
    def late_after_s(self) -> float:
        """Seconds from asking."""
        recent_s = list(self._recent_s)
        return max(LEAST_LATE_S, LATE_FACTOR * median(recent_s)) if recent_s else LEAST_LATE_S


def hedge_allowed(hedges: int, ranges: int) -> bool:
    """Whether one more hedge stays within the share.

    Args:
        hedges: So far.
        ranges: Begun so far.
    """
    return hedges + 1 <= HEDGE_SHARE * ranges


@dataclass(frozen=True)
class CopyState(Generic[_Server]):
    """What is known of one reading of a range.

    Attributes:
        server: Whom it is read from.
        age_s: Seconds since it was asked for.
        was_late: Whether it was late when last looked at.
        hedged: Whether there is or was a second copy.
        unanswered_s: For how long its server has answered no probe.
    """

    server: _Server
    age_s: float
    was_late: bool
    hedged: bool
    unanswered_s: float


@dataclass(frozen=True)
class Verdict(Generic[_Server]):
    """What to do now.

    Attributes:
        probe: Servers to be asked whether they live.
        doubt: Servers that are suspect from now on.
        late: Which copies are late.
        hedge: Late copies that may get a second one.
        move: Copies to be ended, because their server does not answer, and asked for elsewhere.
    """

    probe: set[_Server]
    doubt: set[_Server]
    late: list[int]
    hedge: list[int]
    move: list[int]


def judge(copies: Sequence[CopyState[_Server]], late_after_s: float) -> Verdict[_Server]:
    """Looks at all copies that are being read.

    By the time a range is late it is known whether its server lives, so a frozen one costs no more than that time.

    Args:
        copies: All of them.
        late_after_s: From `Lateness`.
    """
    probe_after_s = _PROBE_AFTER * late_after_s
    patience_s = late_after_s - probe_after_s
    late = [index for index, copy in enumerate(copies) if copy.age_s >= late_after_s]
    silent = {copies[index].server for index in late if copies[index].unanswered_s >= patience_s}
    return Verdict(
        probe={copy.server for copy in copies if copy.age_s >= probe_after_s},
        doubt=silent | {copies[index].server for index in late if not copies[index].was_late},
        late=late,
        hedge=[index for index in late if not copies[index].hedged and copies[index].server not in silent],
        move=[index for index, copy in enumerate(copies) if copy.server in silent],
    )
