"""An import that is cut off anywhere goes on where it was: the dataset is that of an undisturbed import."""

import os
import random
import signal
import time

import numpy as np
import pytest

from batch_server.importing.errors import ImportFailed
from batch_server.importing.parts import PartWriter
from batch_server.importing.staging import Staging, folder_of
from batch_server.sources.rows import Position
from batch_server.store.reader import Dataset

KILLED = -signal.SIGKILL


@pytest.fixture
def target(tmp_path):
    return tmp_path / "x.lmdb"


@pytest.fixture(scope="module")
def undisturbed(sources, tmp_path_factory, run_import):
    return run_import(sources.folder, to=tmp_path_factory.mktemp("undisturbed") / "x.lmdb").fingerprint


def assert_whole(target, sources, undisturbed):
    dataset = Dataset.open(target)
    assert dataset.fingerprint == undisturbed
    assert np.concatenate(list(dataset.blocks("key_id"))).tolist() == sources.key_ids
    assert (dataset.manifest.rejected, dataset.manifest.duplicates) == (sources.rejected, sources.duplicates)
    assert sorted(os.listdir(target.parent)) == [target.name]


def test_killed_before_every_single_file_operation(forked_imports, sources, undisturbed, target):
    words = (sources.folder, "--dataset", target, "--workers", "2")
    operation = 1
    while forked_imports.run(*words, kill_at=operation) == KILLED:
        code = forked_imports.run(*words)
        if code == 2:
            # Killed when nothing was left to do but to delete an empty folder.
            assert "exists: give --replace" in forked_imports.output()
        else:
            assert code == 0, forked_imports.output()
        assert_whole(target, sources, undisturbed)
        target.unlink()
        operation += 1
    assert operation > 25, "an import has more file operations than that"
    assert_whole(target, sources, undisturbed)


def test_killed_at_ten_random_moments(forked_imports, sources, undisturbed, target):
    words = (sources.folder, "--dataset", target, "--workers", "2")
    begun = time.monotonic()
    assert forked_imports.run(*words) == 0
    duration_s = time.monotonic() - begun
    target.unlink()
    rng = random.Random(11)
    killed = whole = 0
    while killed < 10 or not whole:
        forked_imports.start(*words)
        # After the tenth kill the import is left alone.
        timeout_s = rng.uniform(0, duration_s) if killed < 10 else 60
        if not forked_imports.ends_within(timeout_s):
            forked_imports.interrupt(signal.SIGKILL)
        code = forked_imports.exit_code()
        if code == KILLED:
            killed += 1
            continue
        assert code in (0, 2), forked_imports.output()
        assert_whole(target, sources, undisturbed)
        target.unlink()
        whole += 1
    assert killed == 10


def test_finished_parts_are_not_read_again(forked_imports, sources, target, run_import, silent_display, monkeypatch):
    monkeypatch.setattr("batch_server.importing.plan.TASK_BYTES_MIN", 1 << 16)
    forked_imports.start(sources.folder, "--dataset", target, pause_in="writing")
    forked_imports.wait_until_paused()
    parts = {path.name: path.stat().st_mtime_ns for path in folder_of(target).glob("*.part")}
    assert len(parts) > 3
    forked_imports.interrupt(signal.SIGKILL)
    assert forked_imports.exit_code() == KILLED
    run_import(sources.folder, to=target, display=silent_display)
    assert silent_display.notes == ["going on with an import that was cut off"]
    assert silent_display.read_rows == 0


@pytest.mark.parametrize("phase", ["reading", "writing"])
@pytest.mark.parametrize(("with_signal", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_import_ends_soon_and_goes_on_later(
    forked_imports, sources, undisturbed, target, phase, with_signal, code
):
    forked_imports.start(sources.folder, "--dataset", target, pause_in=phase)
    forked_imports.wait_until_paused()
    forked_imports.interrupt(with_signal)
    assert forked_imports.exit_code(timeout_s=5) == code
    assert "run the same command again to go on" in forked_imports.output()
    assert "Traceback" not in forked_imports.output()
    assert not target.exists()
    assert forked_imports.run(sources.folder, "--dataset", target) == 0
    assert_whole(target, sources, undisturbed)


@pytest.mark.parametrize("file_bytes", [1 << 10, 1 << 14])
def test_a_full_disk_is_told_and_the_import_goes_on_later(forked_imports, sources, undisturbed, target, file_bytes):
    # A limit on file sizes fails as a full disk does: the small one in a part, the larger one in the dataset.
    assert forked_imports.run(sources.folder, "--dataset", target, file_bytes=file_bytes) == 1
    assert "run the same command again to go on" in forked_imports.output()
    assert "Traceback" not in forked_imports.output()
    assert not target.exists()
    assert forked_imports.run(sources.folder, "--dataset", target) == 0
    assert_whole(target, sources, undisturbed)


def test_other_sources_or_options_start_anew(forked_imports, sources, target, tmp_path, run_import, silent_display):
    forked_imports.start(sources.folder, "--dataset", target, pause_in="writing")
    forked_imports.wait_until_paused()
    forked_imports.interrupt(signal.SIGKILL)
    assert forked_imports.exit_code() == KILLED
    (tmp_path / "a.csv").write_text('key_id,drawing,word\n5,"[[[1],[2]]]",cat\n')
    run_import(tmp_path / "a.csv", to=target, display=silent_display)
    assert silent_display.notes == ["an unfinished import had other sources, sizes or options: starting anew"]
    assert Dataset.open(target).samples == 1
    assert not folder_of(target).exists()


def test_a_damaged_part_is_noticed(forked_imports, sources, target):
    forked_imports.start(sources.folder, "--dataset", target, pause_in="writing")
    forked_imports.wait_until_paused()
    forked_imports.interrupt(signal.SIGKILL)
    assert forked_imports.exit_code() == KILLED
    part = max(folder_of(target).glob("*.part"), key=lambda path: path.stat().st_size)
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert forked_imports.run(sources.folder, "--dataset", target) == 1
    assert f"{part} is damaged: delete it and run the same command again" in forked_imports.output()
    part.unlink()
    assert forked_imports.run(sources.folder, "--dataset", target) == 0


def test_parts_behind_a_gap_are_not_kept(tmp_path):
    """What fills the gap may end elsewhere than what was there, so they would double or lose rows."""
    with Staging(tmp_path / "a.lmdb") as staging:
        for number in (0, 2, 3):
            with PartWriter(staging.part_path(5, number)) as part:
                part.finish(0, Position(number + 1, 1))
                part.publish()
        assert len(staging.parts(5)) == 1
        assert [path.name for path in staging.folder.glob("*.part")] == ["000005-0000.part"]


def test_a_second_import_to_the_same_target_is_refused(forked_imports, sources, undisturbed, target, run_import):
    forked_imports.start(sources.folder, "--dataset", target, pause_in="reading")
    forked_imports.wait_until_paused()
    with pytest.raises(ImportFailed, match=r"another import to .* is running"):
        run_import(sources.folder, to=target)
    forked_imports.interrupt(signal.SIGKILL)
    assert forked_imports.exit_code() == KILLED
    assert run_import(sources.folder, to=target).fingerprint == undisturbed
