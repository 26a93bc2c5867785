"""What both `doctor` commands say in the end: what limits, the figures that show it, and what to change."""

import textwrap
from typing import NamedTuple

LINKS_GBIT = (1, 2.5, 5, 10, 25, 40, 100, 200, 400)
# Of a link's bits, what is left for messages: Ethernet, IP and TCP take 5 % of frames of 1,500 bytes, HTTP/2 some more.
_PAYLOAD = 0.94
# A link is full from this share of what it carries on: the sender never quite keeps it busy.
_FULL = 0.85

_WIDTH = 100


class Diagnosis(NamedTuple):
    """What limits a deployment.

    Attributes:
        limit: One word for programs.
        says: A sentence or two, with figures.
        advice: What to change, the most useful first; what else should be known.
    """

    limit: str
    says: str
    advice: tuple[str, ...]

    def as_text(self) -> str:
        """For a terminal."""
        points = [
            textwrap.fill(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
            for text in self.advice
        ]
        return "\n".join([textwrap.fill(self.says, _WIDTH, break_on_hyphens=False), *points])


def link_bytes_per_s(gbit: float) -> float:
    """What a link of so many Gbit/s carries."""
    return gbit * 1e9 / 8 * _PAYLOAD


def needed_link(bytes_per_s: float) -> str:
    """The slowest usual link that carries so much: `10 Gbit/s`."""
    for gbit in LINKS_GBIT:
        if link_bytes_per_s(gbit) >= bytes_per_s:
            return f"{gbit:g} Gbit/s"
    return f"more than {LINKS_GBIT[-1]} Gbit/s"


def filled_link(bytes_per_s: float) -> str | None:
    """The usual link that so much fills: `1 Gbit/s`; None if it would leave room on any."""
    for gbit in LINKS_GBIT:
        if _FULL * link_bytes_per_s(gbit) <= bytes_per_s <= gbit * 1e9 / 8:
            return f"{gbit:g} Gbit/s"
    return None


def megabytes(bytes_per_s: float) -> str:
    """For people: `118 MB/s`."""
    return f"{bytes_per_s / 1e6:,.0f} MB/s" if bytes_per_s >= 10e6 else f"{bytes_per_s / 1e6:,.1f} MB/s"
