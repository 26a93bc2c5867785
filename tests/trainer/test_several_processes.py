"""Two processes with a device each train as one process with two devices does, and end together."""

import shutil
import signal

import pytest

from tests.trainer.runs import (
    assert_equal_runs,
    finish,
    host_state,
    rows,
    start_together,
    steps_done,
    wait_until,
    words,
)
from tests.trainer.witness import observed, seen
from trainer.cli import main


@pytest.fixture(scope="module")
def one_process(server, tmp_path_factory):
    """The folder of a run of one process with two devices, and the digests of its batches."""
    folder = tmp_path_factory.mktemp("one")
    with observed(folder / "seen"):
        assert main(words(server, folder / "run")) == 0
    assert len(rows(folder / "run", "steps")) > 50
    return folder / "run", seen(folder / "seen")


@pytest.fixture(scope="module")
def stopped(server, tmp_path_factory):
    """A run of two processes of which one got SIGTERM; what each of them said; and the digests of its batches."""
    folder = tmp_path_factory.mktemp("two")
    witnesses = [folder / "seen0", folder / "seen1"]
    programs = [("tests.trainer.witness", str(witness)) for witness in witnesses]
    processes = start_together(server, folder / "run", programs=programs)
    wait_until(lambda: steps_done(folder / "run") >= 35, *processes)
    processes[1].send_signal(signal.SIGTERM)
    ends = [finish(process) for process in processes]
    return folder / "run", ends, seen(*witnesses)


def test_a_process_that_is_told_to_stop_stops_all_after_the_same_step(stopped):
    out, ends, _ = stopped
    assert [code for code, _ in ends] == [143, 143], ends
    assert "process 1 (" in ends[0][1] and "was told to stop" in ends[0][1]
    assert not any("Traceback" in errors for _, errors in ends)
    done = len(rows(out, "steps"))
    assert 35 <= done < 58 and (out / "checkpoints" / str(done)).is_dir()


@pytest.mark.parametrize("processes", [1, 2])
def test_as_two_devices_of_one_process_or_as_two_processes_it_goes_on_to_the_bit(
    server, stopped, one_process, tmp_path, processes
):
    out, expected = tmp_path / "run", one_process[0]
    shutil.copytree(stopped[0], out)
    if processes == 2:
        ends = [finish(process) for process in start_together(server, out, "--resume")]
        assert [code for code, _ in ends] == [0, 0], ends
    else:
        assert main(words(server, out, "--resume")) == 0
    assert_equal_runs(out, expected)
    found = host_state(out)
    assert found == host_state(expected) and len(found) > 20


def test_on_another_number_of_devices_it_goes_on_with_the_same_batches(server, stopped, one_process, tmp_path):
    out, (expected, batches) = tmp_path / "run", one_process
    shutil.copytree(stopped[0], out)
    done = len(rows(out, "steps"))
    with observed(tmp_path / "seen"):
        assert main(words(server, out, "--resume", devices="cpu")) == 0
    together, resumed = stopped[2], seen(tmp_path / "seen")
    in_order = sorted(batches)
    assert all(together[position] == batches[position] for position in in_order[:done])
    assert resumed == {position: batches[position] for position in in_order[done:]}
    # The state is the same and a row's dropout too, whichever device it is on: only the rounding of sums may differ.
    loss, wanted = (float(rows(run, "steps")[done]["loss"]) for run in (out, expected))
    assert loss == pytest.approx(wanted, abs=1e-6)


def test_a_process_that_is_killed_is_named_and_the_run_goes_on(server, one_process, tmp_path):
    out = tmp_path / "run"
    first, second = start_together(server, out, "--checkpoint-every-steps", "4")
    wait_until(lambda: steps_done(out) >= 6, first, second)
    first.kill()  # the one without which JAX would end the others with a stack trace
    finish(first)
    code, errors = finish(second)
    assert code == 1 and "process 0 (" in errors and "ended without a word" in errors, errors
    assert "Traceback" not in errors and "Check failure" not in errors
    assert main(words(server, out, "--resume")) == 0
    assert_equal_runs(out, one_process[0])
