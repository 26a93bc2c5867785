"""The figures that Inkstream is to reach, and whether a run reached them.

A benchmark hands a figure over in `Table.figures`, by the name and in the unit given here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.table import Table


class Goal(NamedTuple):
    """A figure and its target.

    Attributes:
        what: In words.
        figure: Its name in `Table.figures`.
        target: The bound, in the figure's unit.
        at_least: Whether the figure must not be below the target, else not above it.
        form: How a value is written, a format string.
        short_of_it: Why it was missed when it was, or cannot be measured everywhere, and the next step.
    """

    what: str
    figure: str
    target: float
    at_least: bool
    form: str
    short_of_it: str = ""

    def verdict(self, value: float) -> str:
        """`reached` or `missed`."""
        return "reached" if (value >= self.target if self.at_least else value <= self.target) else "missed"


_WIRE = (
    "a drawing takes four times the kernel's processor time in server and client: copies, decoding, sockets, and the "
    "Python of every chunk on both sides. Next: a decoder in one pass, less to do for every chunk; "
    "docs/performance.md says where the time goes."
)

# Each under the benchmark that measures it.
GOALS = (
    # peers
    Goal("Into a process, sparse, against PyTorch DataLoader", "sparse_against_dataloader", 10, True, "{:.1f}x", _WIRE),
    Goal(
        "The same without compression",
        "none_against_dataloader",
        6,
        True,
        "{:.1f}x",
        "as above; and 16 KiB a drawing are copied seven times on their way.",
    ),
    Goal("Into a process, sparse, of the kernel alone on all cores", "percent_of_kernel", 35, True, "{:.0f} %", _WIRE),
    # kernel
    Goal(
        "Kernel, one core, average drawing, 128 px gray, decoded and augmented",
        "kernel_us",
        4.0,
        False,
        "{:.2f} us",
        "drawing itself is three quarters of it, the rest is reading, checking and random numbers. A prototype "
        "took 4.0 us with AVX-512 and 5.1 with AVX2, which is all that this processor has. Next: canvases that stay "
        "in its L2 cache. Runs of one day on this virtual machine: 5.3 to 7.6 us.",
    ),
    # import_rows
    Goal(
        "Import, Kaggle CSV from a zip, start-up apart",
        "import_rows_per_s",
        650_000,
        True,
        "{:,.0f} rows/s",
        "parsing and inflating are three fifths of the processor time; on a quieter day 615,000, and 670,000 from a "
        "zip four times as large, which keeps both cores busy to the end. Next: a parser that takes 8 bytes at a time.",
    ),
    Goal("Anonymous memory of all import processes", "import_mb", 350, False, "{:.0f} MB"),
    # store, cold
    Goal("Bytes per drawing against the official binary layout", "bytes_against_official", 1.1, False, "{:.2f}x"),
    Goal("1,024 random records, warm", "fetch_1024_ms", 0.5, False, "{:.2f} ms"),
    Goal(
        "1,024 drawings read, augmented and drawn at 128 px, all cores",
        "batch_1024_ms",
        2.5,
        False,
        "{:.2f} ms",
        "nearly all of it is the kernel, see there.",
    ),
    Goal("Streaming with half of a dataset in memory, of its warm rate", "cold_percent_of_warm", 50, True, "{:.0f} %"),
    # fit
    Goal(
        "`trainer fit`, of the speed of a bare loop on data in memory", "fit_percent_of_bare_loop", 95, True, "{:.0f} %"
    ),
    # train_step
    Goal(
        "Step time that an accelerator waits for data",
        "input_wait_percent",
        1,
        False,
        "{:.2f} %",
        "needs a GPU at hand.",
    ),
)


def goals_table(figures: Mapping[str, float]) -> Table:
    """Holds figures against their targets, with what is to say of those that were missed or not measured."""
    rows, remarks = [], []
    for goal in GOALS:
        bound = f"{'at least' if goal.at_least else 'at most'} {goal.form.format(goal.target)}"
        value = figures.get(goal.figure)
        measured = ("", "not measured") if value is None else (goal.form.format(value), goal.verdict(value))
        rows.append((goal.what, bound, *measured))
        if measured[1] != "reached" and goal.short_of_it:
            remarks.append(f"- {goal.what}: {goal.short_of_it}")
    return Table("Targets", "\n".join(remarks), ("what", "target", "measured", "verdict"), rows)
