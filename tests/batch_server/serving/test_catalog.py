import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_server.serving.catalog import KEEP_REPLACED_S, Catalog, CatalogWatch
from inkstream.errors import UnknownDataset

WAIT_S = 20


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(tmp_path: Path, clock: Clock) -> Catalog:
    return Catalog(tmp_path, clock)


def fingerprint_of(catalog: Catalog, name: str) -> str:
    return catalog.by_name(name).dataset.fingerprint


def test_finished_datasets_come_and_go(tmp_path: Path, catalog: Catalog, write_dataset: Callable[..., str]) -> None:
    catalog.look()
    assert catalog.names() == []
    first = write_dataset(tmp_path / "b.lmdb", samples=5)
    write_dataset(tmp_path / "B.lmdb", samples=6)
    write_dataset(tmp_path / "unfinished.importing", samples=7)
    catalog.look()
    assert catalog.names() == ["B", "b"]
    assert fingerprint_of(catalog, "b") == first
    (tmp_path / "b.lmdb").unlink()
    catalog.look()
    assert catalog.names() == ["B"]


def test_a_name_that_is_not_there_gets_near_ones(
    tmp_path: Path, catalog: Catalog, write_dataset: Callable[..., str]
) -> None:
    with pytest.raises(UnknownDataset, match="none yet"):
        catalog.by_name("doodles")
    write_dataset(tmp_path / "doodles.lmdb", samples=5)
    catalog.look()
    with pytest.raises(UnknownDataset, match="did you mean doodles"):
        catalog.by_name("doodels")
    with pytest.raises(UnknownDataset, match="there are: doodles"):
        catalog.by_name("x")


@pytest.mark.parametrize("name", ["../secret/hidden", "..", "", ".", "/etc/passwd", "doodles.lmdb", "a\0b", "x" * 5000])
def test_no_name_leads_out_of_the_folder(
    tmp_path: Path, write_dataset: Callable[..., str], name: str, clock: Clock
) -> None:
    for folder in ("data", "secret"):
        (tmp_path / folder).mkdir()
    write_dataset(tmp_path / "secret" / "hidden.lmdb", samples=5)
    write_dataset(tmp_path / "data" / "doodles.lmdb", samples=5)
    catalog = Catalog(tmp_path / "data", clock)
    catalog.look()
    with pytest.raises(UnknownDataset):
        catalog.by_name(name)


def test_what_cannot_be_used_is_logged_once_and_tried_again_when_it_changes(
    tmp_path: Path, catalog: Catalog, write_dataset: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    write_dataset(tmp_path / "good.lmdb", samples=2000)
    whole = (tmp_path / "good.lmdb").read_bytes()
    (tmp_path / "text.lmdb").write_text("no dataset")
    (tmp_path / "empty.lmdb").touch()
    (tmp_path / "cut.lmdb").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.lmdb").mkdir()
    (tmp_path / "nowhere.lmdb").symlink_to(tmp_path / "gone")
    (tmp_path / ".lmdb").write_bytes(whole)
    (tmp_path / os.fsdecode(b"\xff.lmdb")).write_bytes(whole)
    with caplog.at_level(logging.WARNING):
        catalog.look()
        assert catalog.names() == ["good"]
        assert sorted(record.args[0] for record in caplog.records) == ["cut", "empty", "text"]  # type: ignore[index]
        catalog.look()
        assert len(caplog.records) == 3
    (tmp_path / "cut.lmdb").write_bytes(whole)
    catalog.look()
    assert catalog.names() == ["cut", "good"]


def test_a_replaced_dataset_stays_for_the_runs_that_use_it(
    tmp_path: Path, catalog: Catalog, clock: Clock, write_dataset: Callable[..., str]
) -> None:
    old = write_dataset(tmp_path / "doodles.lmdb", seed=1, samples=2000)
    catalog.look()
    new = write_dataset(tmp_path / "doodles.lmdb", seed=2, samples=2000)
    catalog.look()
    assert fingerprint_of(catalog, "doodles") == new
    for _ in range(3):  # asked for now and then, it stays
        clock.now += KEEP_REPLACED_S - 1
        served = catalog.by_fingerprint(old, "doodles")
        assert served is not None and served.dataset.fingerprint == old
        assert served.split_samples["all"] == 2000
        catalog.look()
    clock.now += KEEP_REPLACED_S + 1
    catalog.look()
    assert catalog.by_fingerprint(old, "doodles") is None
    assert catalog.by_fingerprint(new, "doodles") is not None


def test_a_removed_dataset_leaves_the_list_but_its_runs_go_on(
    tmp_path: Path, catalog: Catalog, write_dataset: Callable[..., str]
) -> None:
    fingerprint = write_dataset(tmp_path / "doodles.lmdb", samples=5)
    catalog.look()
    (tmp_path / "doodles.lmdb").unlink()
    catalog.look()
    assert catalog.names() == []
    assert catalog.by_fingerprint(fingerprint, "doodles") is not None


def test_equal_contents_are_found_under_any_name(
    tmp_path: Path, catalog: Catalog, write_dataset: Callable[..., str]
) -> None:
    fingerprint = write_dataset(tmp_path / "one.lmdb", samples=5)
    write_dataset(tmp_path / "two.lmdb", samples=5)
    catalog.look()
    (tmp_path / "one.lmdb").unlink()
    catalog.look()
    served = catalog.by_fingerprint(fingerprint, "doodles")
    assert served is not None and served.dataset.name == "two"


def test_of_equal_contents_those_of_the_name_asked_for_are_preferred(
    tmp_path: Path, catalog: Catalog, write_dataset: Callable[..., str]
) -> None:
    for name in ("one", "two", "three"):
        fingerprint = write_dataset(tmp_path / f"{name}.lmdb", samples=5)
    catalog.look()
    for name in ("one", "two", "three"):
        served = catalog.by_fingerprint(fingerprint, name)
        assert served is not None and served.dataset.name == name


def test_a_folder_that_vanishes_changes_nothing(
    tmp_path: Path, clock: Clock, write_dataset: Callable[..., str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_dataset(folder / "doodles.lmdb", samples=5)
    catalog = Catalog(folder, clock)
    catalog.look()
    folder.rename(tmp_path / "elsewhere")
    catalog.look()
    assert catalog.names() == ["doodles"]


def test_the_watch_looks_by_itself_and_survives_a_failure(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    looks: list[int] = []
    enough = threading.Event()

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            enough.set()
        raise ZeroDivisionError

    monkeypatch.setattr(catalog, "look", look)
    watch = CatalogWatch(catalog, every_s=0.001)
    watch.start()
    assert enough.wait(WAIT_S)
    watch.stop()
    assert not any(thread.name == "catalog" for thread in threading.enumerate())
