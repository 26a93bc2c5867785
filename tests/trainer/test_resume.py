"""A run that dies anywhere goes on bit for bit: real processes, a real server, two devices, dropout and batch norm."""

import os
import signal
import subprocess
import sys
import time

import pytest

import inkstream
from tests.trainer.runs import assert_equal_runs, finish, rows, start, steps_done, wait_until, words
from trainer.cli import main
from trainer.metrics import Tally
from trainer.progress import ProgressLine


def unfinished_saves(out):
    folder = out / "checkpoints"
    return list(folder.glob("*.orbax-checkpoint-tmp*")) if folder.is_dir() else []


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(words(server, out))
    code, errors = finish(process)
    assert code == 0, errors
    steps = rows(out, "steps")
    assert len(steps) > 40 and len(rows(out, "evaluations")) == 2
    assert len({row["loss"] for row in steps}) == len(steps)
    return out


def test_killed_in_mid_epoch_and_in_the_middle_of_a_save(server, undisturbed, tmp_path):
    out = tmp_path / "run"
    process = start(words(server, out, "--checkpoint-every-steps", "7"))
    wait_until(lambda: steps_done(out) >= 40, process)
    process.kill()
    finish(process)
    assert (out / "checkpoints" / "35").is_dir()

    for _ in range(8):  # a save may end between the look and the kill
        process = start(words(server, out, "--resume", "--checkpoint-every-steps", "1"))
        wait_until(lambda: unfinished_saves(out), process)
        process.kill()
        finish(process)
        if unfinished_saves(out):
            break
    assert unfinished_saves(out), "no save could be interrupted"

    code, errors = finish(start(words(server, out, "--resume")))
    assert code == 0, errors
    assert not unfinished_saves(out)
    assert_equal_runs(out, undisturbed)


def raise_after(monkeypatch, owner, name, calls, number):
    """Lets the process get a signal at the end of a certain call."""
    original = getattr(owner, name)
    remaining = [calls]

    def wrapped(*args, **kwargs):
        result = original(*args, **kwargs)
        remaining[0] -= 1
        if remaining[0] == 0:
            signal.raise_signal(number)
        return result

    monkeypatch.setattr(owner, name, wrapped)


def test_stopped_by_signals_while_training_and_while_validating(server, undisturbed, tmp_path, capsys):
    out = tmp_path / "run"
    stops = [
        ((ProgressLine, "update", 5, signal.SIGTERM), 143, "5"),
        ((ProgressLine, "update", 7, signal.SIGINT), 130, "12"),
        ((Tally, "add", 1, signal.SIGTERM), 143, str(len(rows(undisturbed, "steps")) // 2)),
        ((Tally, "add", 2, signal.SIGINT), 130, str(len(rows(undisturbed, "steps")) // 2)),
    ]
    for where, code, newest in stops:
        with pytest.MonkeyPatch.context() as patch:
            raise_after(patch, *where)
            assert main(words(server, out, "--resume")) == code
        assert (out / "checkpoints" / newest).is_dir()
        assert len(rows(out, "steps")) == int(newest)
        assert rows(out, "evaluations") == []
        assert f"stopped after step {newest} of" in capsys.readouterr().out
    assert main(words(server, out, "--resume")) == 0
    assert_equal_runs(out, undisturbed)
    before = {name: (out / name).read_bytes() for name in ("steps.csv", "evaluations.jsonl")}
    assert main(words(server, out, "--resume")) == 0  # nothing is left to do
    assert before == {name: (out / name).read_bytes() for name in before}


def test_ctrl_c_while_compiling_ends_soon(server, tmp_path):
    command = [sys.executable, "-m", "trainer", *words(server, tmp_path / "run")]
    uncached = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=uncached)
    wait_until((tmp_path / "run" / "steps.csv").exists, process)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    code, errors = finish(process)
    assert code == 130 and "Traceback" not in errors
    assert time.monotonic() - asked < 30  # 5 s are promised; beside other work it may take several times as long


def test_another_pipeline_is_refused_by_name(server, undisturbed, capsys):
    assert main(words(server, undisturbed, "--resume", "--rotate-deg", "11")) == 2
    assert "augment.rotate_deg was 10.0, is 11.0" in capsys.readouterr().err
    assert main(words(server, undisturbed)) == 2
    assert "holds a run: --resume" in capsys.readouterr().err


def test_a_run_whose_servers_die_keeps_what_was_learnt(data_dir, server, server_process, undisturbed, tmp_path, capsys):
    out = tmp_path / "run"
    dying = server_process(data_dir)
    connect, update = inkstream.connect, ProgressLine.update

    def update_and_kill(self, done, text):
        update(self, done, text)
        if done == 10:
            dying.stop(signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inkstream, "connect", lambda servers, **options: connect(servers, timeout_s=1, **options))
        patch.setattr(ProgressLine, "update", update_and_kill)
        assert main(words(dying, out)) == 1
    assert "Traceback" not in capsys.readouterr().err
    done = len(rows(out, "steps"))
    assert done >= 10 and (out / "checkpoints" / str(done)).is_dir()
    assert main(words(server, out, "--resume")) == 0
    assert_equal_runs(out, undisturbed)
