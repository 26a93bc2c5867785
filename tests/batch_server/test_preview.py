import re
import shlex
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from batch_server.batches import BatchMaker
from batch_server.cli import main
from batch_server.contact_sheet import Card, contact_sheet
from batch_server.drawing.record import pack
from batch_server.preview import batch_cards, examples_by_class
from batch_server.rendering import RENDERER_VERSION
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter
from inkstream.chunking import Span
from inkstream.pipeline import Augment, Filter, Pipeline, Render
from inkstream.pipeline_file import PipelineFile

CLASSES = ("ant", "bee", "empty", "rare", "日本")


def write(path: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """60 drawings; of `rare` there is one, of `empty` none."""
    labels = np.array([*([0, 1, 4] * 20)[:59], 3] if classes else [-1] * 60, np.int32)
    with DatasetWriter(path, "drawing", classes) as writer:
        writer.append(
            Records.of([pack([([0, 255], [4 * index, 255 - 4 * index])]) for index in range(60)]),
            {
                "label": labels,
                "key_id": np.arange(100, 160, dtype=np.uint64),
                "country": np.zeros(60, np.uint16),
                "recognized": np.ones(60, np.uint8),
                "timestamp": np.zeros(60, np.uint32),
            },
        )
        writer.finish({})
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("preview") / "lines.lmdb")


def pipeline(**settings: object) -> Pipeline:
    defaults = {"dataset": "lines", "split": "all", "batch_size": 16, "seed": 3, "render": Render(size=32)}
    return Pipeline(**(defaults | settings))  # type: ignore[arg-type]


def captions(cards: list[Card]) -> Counter[str]:
    return Counter(card.caption for card in cards)


def test_classes_are_shown_evenly_and_side_by_side(path: Path) -> None:
    cards = examples_by_class(BatchMaker(Dataset.open(path), pipeline()), rows=4, columns=5)
    assert captions(cards) == {"ant": 5, "bee": 5, "rare": 1, "日本": 5}
    assert [card.caption for card in cards] == sorted(card.caption for card in cards)
    assert len({card.picture.tobytes() for card in cards}) == len(cards)


def test_with_more_classes_than_cards_each_card_is_another_class(path: Path) -> None:
    cards = examples_by_class(BatchMaker(Dataset.open(path), pipeline()), rows=1, columns=3)
    assert captions(cards) == {"ant": 1, "bee": 1, "rare": 1}


def test_a_filter_and_a_dataset_without_labels(path: Path, tmp_path: Path) -> None:
    only = BatchMaker(Dataset.open(path), pipeline(filter=Filter(classes=("bee",))))
    assert captions(examples_by_class(only, 2, 2)) == {"bee": 4}
    unlabelled = Dataset.open(write(tmp_path / "test.lmdb", ()))
    cards = examples_by_class(BatchMaker(unlabelled, pipeline()), 2, 3)
    assert len(cards) == 6 and all(card.faint and 100 <= int(card.caption) < 160 for card in cards)


def test_the_seed_chooses_the_examples(path: Path) -> None:
    dataset = Dataset.open(path)
    first, again, other = (examples_by_class(BatchMaker(dataset, pipeline(seed=seed)), 4, 5) for seed in (1, 1, 2))
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.picture, b.picture) for a, b in zip(first, other, strict=True))


def test_a_batch_is_shown_row_by_row(path: Path) -> None:
    maker = BatchMaker(Dataset.open(path), pipeline(remainder="pad", augment=Augment(rotate_deg=30)))
    cards = batch_cards(maker, epoch=2, step=3, most=1000)
    expected = maker.chunk(2, 3, Span(0, 16))
    assert all(np.array_equal(card.picture, picture) for card, picture in zip(cards, expected.image, strict=True))
    assert [card.caption for card in cards[12:]] == ["padding"] * 4
    assert len(batch_cards(maker, epoch=2, step=3, most=5)) == 5


def place(sheet: np.ndarray, picture: np.ndarray) -> tuple[slice, slice]:
    """Where in the sheet a picture most likely is."""
    match = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
    y, x = (int(at) for at in np.unravel_index(match.argmin(), match.shape))
    return slice(y, y + len(picture)), slice(x, x + len(picture))


def test_pictures_stand_in_the_sheet_as_they_are() -> None:
    rng = np.random.default_rng(0)
    cards = [
        Card(rng.integers(0, 256, (128, 128, 3), np.uint8), f"class {index} with a long name") for index in range(7)
    ]
    sheet = contact_sheet("title", "subtitle " * 40, cards, columns=3)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3
    places = [place(sheet, card.picture) for card in cards]
    for card, at in zip(cards, places, strict=True):
        assert np.array_equal(sheet[at], card.picture)
    corners = [(rows.start, columns.start) for rows, columns in places]
    assert corners == sorted(corners), "from left to right, from top to bottom"
    assert len({y for y, _ in corners}) == 3


@pytest.mark.parametrize(("side", "shown"), [(8, 112), (28, 112), (64, 128), (200, 200), (1280, 256)])
def test_small_pictures_are_enlarged_and_large_ones_shrunk(side: int, shown: int) -> None:
    white = contact_sheet("t", "s", [Card(np.full((side, side, 1), 77, np.uint8), "")], columns=1)
    assert (white == 77).all(axis=2).sum() == shown**2


def test_the_command_writes_a_picture(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "grid.png"
    words = [
        "--split",
        "train",
        "--rows",
        "3",
        "--columns",
        "4",
        "--encoding",
        "rainbow",
        "--scale",
        "0.8",
        "1.2",
        "--erase",
    ]
    assert main(["preview", str(path), "--out", str(out), *words]) == 0
    picture = cv2.imread(str(out))
    assert picture is not None and picture.shape[0] > 300
    assert f"{picture.shape[1]} x {picture.shape[0]} pixels" in capsys.readouterr().err


def saved(path: Path, folder: Path, **changes: object) -> Path:
    fingerprint = Dataset.open(path).fingerprint
    members = {"pipeline": pipeline(), "fingerprint": fingerprint, "renderer_version": RENDERER_VERSION} | changes
    PipelineFile(**members).save(folder / "pipeline.json")  # type: ignore[arg-type]
    return folder / "pipeline.json"


def test_the_command_draws_the_batch_of_a_run(path: Path, tmp_path: Path) -> None:
    """The pictures of the sheet are those of the pure function, found at their places."""
    out, render = tmp_path / "grid.png", Render(size=128, encoding="thirds")
    run = saved(path, tmp_path, pipeline=pipeline(render=render, augment=Augment(rotate_deg=30)))
    assert main(["preview", str(path), "--out", str(out), "--pipeline", str(run), "--epoch", "5", "--step", "2"]) == 0
    sheet = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB)
    maker = BatchMaker(Dataset.open(path), pipeline(render=render, augment=Augment(rotate_deg=30)))
    for picture in maker.chunk(5, 2, Span(0, 16)).image[:3]:
        assert np.array_equal(sheet[place(sheet, picture)], picture)


def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "run"):
        (tmp_path / folder).mkdir()
    saved(write(tmp_path / "data" / "doodles.lmdb"), tmp_path / "run", pipeline=pipeline(batch_size=4))
    page = Path(__file__).parents[2] / "docs" / "serving.md"
    examples = re.findall(r"^batch-server (preview .*)$", page.read_text(), re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        assert main(shlex.split(example)) == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"grid.png", "batch.png"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--rows", "0"], 2, "--rows must be from 1 to 1024, got 0"),
        (["--rows", "100", "--columns", "100"], 2, "at most 1024"),
        (["--out", "grid.gif"], 2, "--out must end in .png"),
        (["--size", "7"], 2, "render.size must be a whole number from 8"),
        (["--classes", "ent"], 2, "did you mean 'ant'"),
        (["--classes", "empty"], 2, "holds none of the 60 samples"),
        (["--epoch", "1"], 2, "give its --pipeline file too"),
        (["--pipeline", "{run}"], 2, "needs --epoch and --step"),
        (["--pipeline", "{run}", "--epoch", "0", "--step", "4"], 2, "below the 4 steps of an epoch, got 4"),
        (["--pipeline", "{run}", "--epoch", "-1", "--step", "0"], 2, "count from 0"),
        (["--pipeline", "{run}", "--epoch", "0", "--step", "0", "--seed", "9"], 2, "leave out --seed"),
        (["--pipeline", "nowhere.json", "--epoch", "0", "--step", "0"], 2, "nowhere.json is none"),
        (["--out", "nowhere/grid.png"], 1, "cannot write nowhere/grid.png"),
    ],
)
def test_wrong_usage_is_refused(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    run = str(saved(path, tmp_path))
    out = [] if "--out" in words else ["--out", str(tmp_path / "grid.png")]
    assert main(["preview", str(path), *out, *(word.format(run=run) for word in words)]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sides"),
    [({"fingerprint": "00ff"}, ("00ff", "{own}")), ({"renderer_version": 99}, ("99", str(RENDERER_VERSION)))],
)
def test_a_batch_that_cannot_be_drawn_again_names_both_sides(
    path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    sides: tuple[str, str],
) -> None:
    run = saved(path, tmp_path, **changes)
    words = ["--out", str(tmp_path / "grid.png"), "--pipeline", str(run), "--epoch", "0", "--step", "0"]
    assert main(["preview", str(path), *words]) == 1
    said = capsys.readouterr().err
    assert all(side.format(own=Dataset.open(path).fingerprint) in said for side in sides)
