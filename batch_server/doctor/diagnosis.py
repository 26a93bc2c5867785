"""From what was measured on a server's machine to what limits it: a pure function of figures."""

import math
from dataclasses import dataclass

from inkstream.diagnosis import Diagnosis, link_bytes_per_s, megabytes, needed_link
from inkstream.pipeline import Pipeline

# Below this share of the rate that warm data allow, the disk limits; above, what was read from it did not matter.
_DISK = 0.8
# Share of the quota's periods in which a container stood still, from which on it limits.
_HELD_BACK = 0.05
# Processors used by others, as a share, from which on figures are low because of them.
_DISTURBED = 0.1
# Threads that together do less than this share of what each does alone get in each other's way.
_SCALING = 0.75
# A setting is advised if it makes drawing so much faster.
_WORTH_SAYING = 1.2


@dataclass(frozen=True)
class CompressionFigures:
    """Of one compression.

    Attributes:
        encode_s: Seconds of one thread for compressing, summing and framing a drawing.
        one_thread_per_s: Drawings per second, read, drawn and encoded.
        all_threads_per_s: The same on all threads.
        wire_bytes: Of a drawing.
    """

    encode_s: float
    one_thread_per_s: float
    all_threads_per_s: float
    wire_bytes: float

    @property
    def wire_bytes_per_s(self) -> float:
        """What all threads would send."""
        return self.wire_bytes * self.all_threads_per_s


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        threads: That draw, as of `serve --threads`.
        cores: That the process may run on.
        quota_cores: Processors' worth of time that the container has; None without a limit.
        held_back: Share of the quota's periods in which it was used up.
        other_cores: Processors that other programs used meanwhile; None where unknown.
        found_per_s: Drawings per second on all threads with the data as they lay, in memory or not.
        disk_bytes: That had to come from the disk for that.
        shortage: Why the dataset does not fit into memory; None if it does.
        read_s: Seconds of one thread for a drawing's record and columns.
        draw_s: The same for augmenting and drawing it.
        half_size_draw_s: `draw_s` at half the side; None if that was not measured.
        compressions: By name; the first is the default.
    """

    threads: int
    cores: int
    quota_cores: float | None
    held_back: float
    other_cores: float | None
    found_per_s: float
    disk_bytes: int
    shortage: str | None
    read_s: float
    draw_s: float
    half_size_draw_s: float | None
    compressions: dict[str, CompressionFigures]

    @property
    def default(self) -> CompressionFigures:
        """Of the default compression."""
        return next(iter(self.compressions.values()))

    @property
    def paid_cores(self) -> float:
        """Processors' worth of time that the process may have."""
        return min(self.cores, self.quota_cores or math.inf)

    @property
    def disturbed(self) -> bool:
        """Whether figures are low because of other programs."""
        return self.other_cores is not None and self.other_cores > _DISTURBED * self.cores


def diagnose(figures: Figures, pipeline: Pipeline) -> Diagnosis:
    """What limits a server on this machine.

    Args:
        figures: What was measured.
        pipeline: With which.
    """
    limit, says = _limit(figures)
    return Diagnosis(limit, says, tuple(_advice(limit, figures, pipeline)))


def _limit(figures: Figures) -> tuple[str, str]:
    best = figures.default
    delivers = f"This machine delivers at most {best.all_threads_per_s:,.0f} drawings/s"
    if figures.disk_bytes and figures.found_per_s < _DISK * best.all_threads_per_s:
        return "disk", (
            f"The disk limits: drawings came at {figures.found_per_s:,.0f}/s, {figures.disk_bytes / 1e6:,.1f} MB of "
            f"them from the disk, and at {best.all_threads_per_s:,.0f}/s once they were in memory."
        )
    if figures.paid_cores < figures.cores and figures.held_back > _HELD_BACK:
        return "quota", (
            f"The container's processor quota limits: it pays for {figures.paid_cores:g} of {figures.cores} "
            f"processors, and was used up in {figures.held_back:.0%} of its periods. {delivers}."
        )
    stages = {"reading": figures.read_s, "drawing": figures.draw_s, "encoding": best.encode_s}
    name = max(stages, key=lambda stage: stages[stage])
    share = stages[name] / max(sum(stages.values()), 1e-12)
    return name, (
        f"{name.capitalize()} limits: it takes {share:.0%} of the {1e6 * sum(stages.values()):.1f} microseconds of a "
        f"thread that a drawing costs. {delivers}, {megabytes(best.wire_bytes_per_s)}; sending them needs processors "
        "too."
    )


def _advice(limit: str, figures: Figures, pipeline: Pipeline) -> list[str]:
    best, advice = figures.default, []
    if figures.disturbed:
        advice.append(
            f"Other programs used {figures.other_cores:.1f} of {figures.cores} processors meanwhile: without them, "
            "figures are higher."
        )
    if figures.shortage:
        advice.append(f"{figures.shortage}.")
    elif limit == "disk":
        advice.append(
            "The dataset fits into memory: `serve --warm` reads it before trainers are let in; otherwise it is there "
            "after the first epoch."
        )
    whole = max(1, math.floor(figures.paid_cores))
    if limit == "quota":
        advice.append(
            f"Raise the quota: each processor more adds about {best.one_thread_per_s:,.0f} drawings/s. With this one, "
            f"--threads {whole} draws as much, more evenly."
        )
    elif limit in ("drawing", "encoding", "reading"):
        busy = min(figures.threads, figures.paid_cores)
        advice.append(
            f"More processors, or another server: each processor adds about {best.all_threads_per_s / busy:,.0f} "
            "drawings/s."
        )
        if figures.threads < whole:
            advice.append(f"Only {figures.threads} of {whole} processors draw: raise --threads.")
    size = pipeline.render.size
    if figures.half_size_draw_s and figures.draw_s > _WORTH_SAYING * figures.half_size_draw_s:
        factor = figures.draw_s / figures.half_size_draw_s
        advice.append(f"--size {size // 2} instead of {size} draws {factor:.1f} times as fast.")
    if pipeline.render.channels > 1:
        advice.append("--encoding gray draws one channel instead of three.")
    if pipeline.render.style == "classic":
        advice.append("--style antialiased draws several times as fast as classic.")
    scaling = best.all_threads_per_s / best.one_thread_per_s / min(figures.threads, figures.paid_cores)
    if scaling < _SCALING and not figures.disturbed and limit not in ("disk", "quota"):
        advice.append(
            f"{figures.threads} threads do {best.all_threads_per_s / best.one_thread_per_s:.1f} times the work of one: "
            "processors that share a core, or memory, or machine with others."
        )
    advice.append(_link(figures))
    return advice


def _link(figures: Figures) -> str:
    one_gbit = link_bytes_per_s(1)
    carried = ", ".join(f"{one_gbit / each.wire_bytes:,.0f} with {name}" for name, each in figures.compressions.items())
    best = figures.default
    return (
        f"To deliver all of that the network needs {needed_link(best.wire_bytes_per_s)}; 1 Gbit/s carries "
        f"{megabytes(one_gbit)}, in drawings/s: {carried}."
    )
