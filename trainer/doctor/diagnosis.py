"""From what was measured of a training to what limits it: a pure function of figures."""

import math
from dataclasses import dataclass

from inkstream.diagnosis import Diagnosis, filled_link, megabytes

# The stream must bring so much more than the step takes for the step never to wait: both vary.
_AHEAD = 1.05
# A step that is fed reaches at least this share of its own speed, unless something is in its way.
_UNDISTURBED = 0.9
# Reading threads that wait for servers for less than this share of their time are themselves what limits.
_HARDLY_WAITING = 0.35
# A full link carries as many bytes of whatever compression, one with room left carries more of the larger ones.
_SAME_BYTES = 0.85
# A compression that shrinks less tells nothing about the link.
_SHRINKS = 1.5
# Processors in use, as a share, from which on the machine is full.
_FULL_MACHINE = 0.9
_FAR_S = 0.005


@dataclass(frozen=True)
class StreamFigures:
    """Of a stream into this process that does nothing else.

    Attributes:
        rows_per_s: Drawings that it brings.
        wire_bytes: Of a drawing, as it travels.
        wire_bytes_per_s: That arrived.
        waiting: Share of their time for which its reading threads wait for servers; the rest they work.
        own_cores: Processors that this process used.
        servers: How many delivered.
    """

    rows_per_s: float
    wire_bytes: float
    wire_bytes_per_s: float
    waiting: float
    own_cores: float
    servers: int


@dataclass(frozen=True)
class StepFigures:
    """Of training steps.

    Attributes:
        rows_per_s: Drawings trained on.
        step_s: Seconds of a step.
        waiting: Share of the time for which steps waited for data.
    """

    rows_per_s: float
    step_s: float
    waiting: float


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        round_trip_s: A short call to a server and back.
        stream: Alone, with the compression that `trainer fit` uses.
        uncompressed: The same without compression.
        resident: Steps on a batch that stays on the devices.
        fed: Steps fed by the stream, as `trainer fit` does.
        cores: Processors that this process may run on.
        own_cores: Of them, in use by this process while steps were fed.
        other_cores: In use by others meanwhile; None where unknown.
        retries: Attempts at servers that failed.
        moves: Ranges that were taken from servers because they did not answer.
    """

    round_trip_s: float
    stream: StreamFigures
    uncompressed: StreamFigures
    resident: StepFigures
    fed: StepFigures
    cores: int
    own_cores: float
    other_cores: float | None
    retries: int
    moves: int

    @property
    def full_machine(self) -> bool:
        """Whether all processors of this machine were in use."""
        return self.own_cores + (self.other_cores or 0.0) >= _FULL_MACHINE * self.cores


def diagnose(figures: Figures) -> Diagnosis:
    """What limits: `device`, `client`, `wire` or `servers`."""
    found = _diagnose(figures)
    trouble = []
    if figures.retries or figures.moves:
        trouble.append(
            f"Meanwhile {figures.retries:,} attempts at servers failed and {figures.moves:,} ranges were taken from "
            "servers that did not answer: look at their logs."
        )
    if _UNDISTURBED * figures.fed.rows_per_s > figures.resident.rows_per_s:
        trouble.append(
            f"These figures contradict each other: steps reached {_drawings(figures.fed.rows_per_s)} fed and "
            f"{figures.resident.rows_per_s:,.0f} alone, so something held this machine up meanwhile. Measure again, "
            "for longer (--seconds)."
        )
    return found._replace(advice=(*found.advice, *trouble))


def _diagnose(figures: Figures) -> Diagnosis:
    stream, takes = figures.stream, figures.resident.rows_per_s
    if stream.rows_per_s >= _AHEAD * takes:
        undisturbed = figures.fed.rows_per_s >= _UNDISTURBED * takes
        return _device(figures) if undisturbed else _in_each_others_way(figures)
    if stream.waiting < _HARDLY_WAITING:
        return _client(figures)
    if _full_link(figures):
        return _wire(figures)
    return _servers(figures)


def _full_link(figures: Figures) -> bool:
    stream, uncompressed = figures.stream, figures.uncompressed
    return (
        uncompressed.wire_bytes > _SHRINKS * stream.wire_bytes
        and stream.wire_bytes_per_s > _SAME_BYTES * uncompressed.wire_bytes_per_s
    )


def _device(figures: Figures) -> Diagnosis:
    takes, brings = figures.resident.rows_per_s, figures.stream.rows_per_s
    trainers = math.floor(brings / (_AHEAD * takes))
    advice = [f"These servers could feed {trainers} such trainers at a time, with 5% to spare."] if trainers > 1 else []
    return Diagnosis(
        "device",
        f"The device limits: it takes {_drawings(takes)}, {_delivery(figures)} ({brings / takes:.1f} times as "
        f"much), and it waits {figures.fed.waiting:.1%} of the time. Nothing to do.",
        tuple(advice),
    )


def _in_each_others_way(figures: Figures) -> Diagnosis:
    says = (
        f"This process limits: alone its steps take {_drawings(figures.resident.rows_per_s)} and the stream "
        f"brings {figures.stream.rows_per_s:,.0f}, together they reach {figures.fed.rows_per_s:,.0f}, waiting "
        f"{figures.fed.waiting:.1%} of the time."
    )
    advice = ["Leave processors to the input: it decodes while devices compute."]
    if figures.full_machine:
        advice = [
            f"All {figures.cores} processors of this machine are in use, by this process and others: move batch "
            "servers and other programs elsewhere; with --devices cpu the step itself computes on them."
        ]
    return Diagnosis("client", says, tuple(advice))


def _client(figures: Figures) -> Diagnosis:
    stream = figures.stream
    return Diagnosis(
        "client",
        f"This process limits: its reading threads work {1 - stream.waiting:.0%} of their time, on "
        f"{stream.own_cores:.1f} processors, and hardly wait for servers. They bring "
        f"{_drawings(stream.rows_per_s)}, the device could take {figures.resident.rows_per_s:,.0f}.",
        (
            "Train in several processes, each with devices of its own (--processes): each decodes only its share.",
            "Smaller pictures (--size), or one channel (--encoding gray), are less to decode.",
        ),
    )


def _wire(figures: Figures) -> Diagnosis:
    stream = figures.stream
    name = filled_link(stream.wire_bytes_per_s)
    return Diagnosis(
        "wire",
        f"The link limits: it carries {megabytes(stream.wire_bytes_per_s)}, compressed or not"
        f"{f', about all of {name}' if name else ''}. That is {_drawings(stream.rows_per_s)}, the device could "
        f"take {figures.resident.rows_per_s:,.0f}.",
        (
            f"A link of {megabytes(figures.resident.rows_per_s * stream.wire_bytes * _AHEAD)}, or servers on this "
            "machine or nearer to it.",
            "If servers have processors to spare: --compression zstd, which takes about half the bytes of sparse.",
            "Smaller pictures (--size), or one channel (--encoding gray), travel in fewer bytes.",
            "More servers help only if they are reached through another link.",
        ),
    )


def _servers(figures: Figures) -> Diagnosis:
    stream, takes = figures.stream, figures.resident.rows_per_s
    more = max(1, math.ceil(_AHEAD * takes / stream.rows_per_s * stream.servers) - stream.servers)
    they = "it" if stream.servers == 1 else "them"
    advice = [
        f"{more} more {'server' if more == 1 else 'servers'} like {they}, or as many processors more as those have.",
        "`batch-server doctor` on a server's machine says what limits there: processors, the disk, settings.",
    ]
    if figures.full_machine:
        advice.append(
            f"All {figures.cores} processors of this machine are in use: if servers run here too, move them elsewhere."
        )
    if figures.round_trip_s > _FAR_S:
        advice.append(
            f"A call to a server and back takes {1e3 * figures.round_trip_s:.0f} ms: nearer servers would be asked "
            "sooner."
        )
    return Diagnosis(
        "servers",
        f"The servers limit: {_delivery(figures)}, the device could take {takes:,.0f} and waits "
        f"{figures.fed.waiting:.0%} of the time.",
        tuple(advice),
    )


def _drawings(rows_per_s: float) -> str:
    """With a decimal where it matters: a slow device takes `1.4 drawings/s`."""
    return f"{rows_per_s:,.0f} drawings/s" if rows_per_s >= 10 else f"{rows_per_s:.1f} drawings/s"


def _delivery(figures: Figures) -> str:
    count, brings = figures.stream.servers, figures.stream.rows_per_s
    return f"one server delivers {brings:,.0f}/s" if count == 1 else f"{count} servers deliver {brings:,.0f}/s"
