"""From what was measured to docs/benchmarks.md."""

import re
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import results
from benchmarks.chart import draw_bars
from benchmarks.goals import GOALS, goals_table
from benchmarks.page import LONG, PAGE, QUICK, kept_runs, page
from benchmarks.peers.report import tables_of
from benchmarks.peers.settings import DATALOADER, KERNEL, NONE, SPARSE
from benchmarks.results import Run, keep, kept
from benchmarks.table import Table

README = Path(__file__).parents[2] / "README.md"
RATES = {
    (NONE, ""): [90_000.0, 120_000.0, 100_000.0],
    (SPARSE, ""): [150_000.0, 160_000.0, 170_000.0],
    (DATALOADER, "1 worker"): [9_000.0] * 3,
    (DATALOADER, "2 workers"): [16_000.0, 1.0, 16_000.0],
    (KERNEL, ""): [400_000.0] * 3,
}


@pytest.mark.parametrize("name", [*QUICK, *LONG])
def test_every_benchmark_can_be_run(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").tables)


def test_a_figure_is_held_against_its_target_on_the_right_side() -> None:
    above = {goal.figure: goal.target * 1.5 for goal in GOALS}
    below = {goal.figure: goal.target / 1.5 for goal in GOALS}
    for goal, high, low in zip(GOALS, goals_table(above).rows, goals_table(below).rows, strict=True):
        assert (high[-1], low[-1]) == (("reached", "missed") if goal.at_least else ("missed", "reached"))
        assert goal.verdict(goal.target) == "reached"
    assert {row[2:] for row in goals_table({}).rows} == {("", "not measured")}


def test_peers_are_compared_by_the_best_median_of_each() -> None:
    summary, everything = tables_of(RATES)
    assert summary.rows == [
        (SPARSE, "160,000", "10.0x"),
        (NONE, "100,000", "6.2x"),
        (DATALOADER, "16,000", "1.0x"),
    ]
    assert summary.figures == {
        "sparse_against_dataloader": 10,
        "none_against_dataloader": 6.25,
        "percent_of_kernel": 40,
    }
    assert (f"{DATALOADER}, 2 workers", "16,000", "1.0x", "1", "16,000") in everything.rows
    assert len(everything.rows) == len(RATES)


def test_what_was_kept_is_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    run = Run("2026-11-21", "4 drawings", tuple(tables_of(RATES)))
    assert kept("peers") is None
    keep("peers", run)
    assert kept("peers") == run


def test_the_page_shows_every_table_under_its_conditions() -> None:
    one = Run(
        "2026-11-20", "Two cores.", (Table("First", "Alone.", ("what", "us"), [("it", "4.1")], {"kernel_us": 4.1}),)
    )
    runs = {"kernel": one, "store": one._replace(date="2026-11-21"), "peers": one._replace(where="Four cores.")}
    text = page(runs)
    assert text.count("Two cores.") == 1 and text.count("Four cores.") == 1
    assert text.count("| it | 4.1 |") == 3
    assert "`python -m benchmarks store`, 2026-11-21. Alone." in text
    (goal,) = (line for line in text.splitlines() if line.startswith("| Kernel"))
    assert goal.endswith("| at most 4.00 us | 4.10 us | missed |")


def test_the_committed_page_is_that_of_the_committed_results() -> None:
    assert PAGE.read_text() == page(kept_runs()), "run `python -m benchmarks.page`"


def test_the_readme_claims_no_more_than_was_measured() -> None:
    """It says how many times as fast as the DataLoader, with the default compression and with none."""
    claims = re.findall(r"(\d+(?:\.\d)?) times", README.read_text())
    run = kept("peers")
    measured = [run.figures["sparse_against_dataloader"], run.figures["none_against_dataloader"]] if run else []
    assert len(claims) == len(measured)
    assert all(float(claim) <= figure for claim, figure in zip(claims, measured, strict=True))


def test_the_chart_names_each_bar_and_its_figures(tmp_path: Path) -> None:
    draw_bars(tables_of(RATES)[0], tmp_path / "chart.svg")
    texts = {text.text for text in ElementTree.parse(tmp_path / "chart.svg").iter() if text.text}
    assert {SPARSE, NONE, DATALOADER, "160,000  (10.0x)", "16,000  (1.0x)"} <= texts
