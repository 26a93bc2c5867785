"""The adapters give each framework the stream's batches, and its users what they know from it."""

import os
import re
import runpy
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inkstream
from deploy.sketches import write_labelled
from inkstream.epochs import Epochs
from tests.fake_server import expected_batch
from tests.server_process import ServerProcess, batch_server

os.environ["KERAS_BACKEND"] = "torch"  # which is loaded here anyway
for name in ("torch", "keras", "tensorflow"):
    pytest.importorskip(f"inkstream.{name}", exc_type=ImportError, reason="make test installs the frameworks")
torch, keras, tf = map(pytest.importorskip, ("torch", "keras", "tensorflow"))

DOCS = Path(__file__).resolve().parents[2] / "docs"
SAMPLES, BATCH = 50, 16
PIPELINE = inkstream.Pipeline(dataset="doodles", batch_size=BATCH, seed=7, render=inkstream.Render(size=16))
STEPS = 4
Connected = Callable[..., tuple[inkstream.Client, list[Any]]]


def torch_images(dataset: Any) -> Iterator[np.ndarray]:
    for batch in torch.utils.data.DataLoader(dataset, batch_size=None):
        yield batch["image"].permute(0, 2, 3, 1).numpy()


def keras_images(dataset: Any) -> Iterator[np.ndarray]:
    for number in range(len(dataset)):
        yield dataset[number][0]


def tensorflow_images(dataset: Any) -> Iterator[np.ndarray]:
    for batch in dataset:
        yield batch["image"].numpy()


ADAPTERS = pytest.mark.parametrize(
    ("dataset_of", "images"),
    [
        (inkstream.torch.StreamDataset, torch_images),
        (inkstream.keras.StreamDataset, keras_images),
        (inkstream.tensorflow.stream_dataset, tensorflow_images),
    ],
    ids=["torch", "keras", "tensorflow"],
)


def stream_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("inkstream-")]


def assert_closed() -> None:
    for thread in stream_threads():
        thread.join(10)  # TensorFlow lets an iterator go on a thread of its own
    assert not stream_threads()


def assert_epoch(images: Iterator[np.ndarray], epoch: int) -> None:
    given = list(images)
    assert len(given) == STEPS
    for step, image in enumerate(given):
        np.testing.assert_array_equal(image, expected_batch(PIPELINE, SAMPLES, epoch, step)["image"])


@ADAPTERS
def test_each_pass_is_the_next_epoch_until_the_last_one_closes_the_stream(
    connected: Connected, dataset_of: Any, images: Any
) -> None:
    client, _ = connected(samples=SAMPLES)
    dataset = dataset_of(client, PIPELINE, epochs=2)
    assert len(dataset) == STEPS
    assert_epoch(images(dataset), 0)
    assert stream_threads()
    assert_epoch(images(dataset), 1)
    assert_closed()
    with pytest.raises((inkstream.InvalidRequest, tf.errors.OpError), match="after the last of epochs=2"):
        next(images(dataset))


@ADAPTERS
def test_a_pass_that_is_left_is_begun_again(connected: Connected, dataset_of: Any, images: Any) -> None:
    client, _ = connected(samples=SAMPLES)
    dataset = dataset_of(client, PIPELINE, epochs=1)
    for image in images(dataset):
        assert image.any()
        break
    if images is not keras_images:  # which cannot tell
        assert_closed()
    assert_epoch(images(dataset), 0)


def test_an_epochs_last_batch_ends_it_though_nobody_asks_for_more(connected: Connected) -> None:
    client, _ = connected(samples=SAMPLES)
    epochs = Epochs(client, PIPELINE, epochs=None, start=(0, 1), shard=(0, 1), compression="none", memory_bytes=1 << 24)
    first = iter(epochs)
    assert [next(first).step for _ in range(STEPS - 1)] == [1, 2, 3]
    second = iter(epochs)
    assert next(second).epoch == 1
    del first
    assert [batch.step for batch in second] == [1, 2, 3]
    epochs.close()
    assert [(batch.epoch, batch.step) for batch in epochs] == [(2, step) for step in range(STEPS)]


def test_tensors_of_pytorch_are_the_arrays_of_the_stream(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = connected(samples=SAMPLES)
    with client.stream(PIPELINE) as stream:
        batch = next(stream)
    dataset = inkstream.torch.StreamDataset(client, PIPELINE)
    dataset.close()
    monkeypatch.setattr(Epochs, "__iter__", lambda self: iter([batch]))
    (tensors,) = torch.utils.data.DataLoader(dataset, batch_size=None)
    for name in ("image", "key_id", "mask"):
        assert np.shares_memory(tensors[name].numpy(), batch[name])
    assert tensors["image"].shape == (BATCH, 1, 16, 16)
    assert tensors["image"].is_contiguous(memory_format=torch.channels_last)
    assert tensors["label"].dtype == torch.int64 and tensors["label"].tolist() == batch["label"].tolist()
    assert tensors["cursor"].tolist() == [0, 1]


@pytest.mark.parametrize("adapter", [inkstream.torch.StreamDataset, inkstream.tensorflow.stream_dataset])
def test_a_saved_cursor_goes_on_in_mid_epoch(connected: Connected, adapter: Any) -> None:
    client, _ = connected(samples=SAMPLES)
    batches = iter(adapter(client, PIPELINE))
    next(batches)
    cursor = next(batches)["cursor"].numpy().tolist()
    resumed = adapter(client, PIPELINE, start=cursor, epochs=2)
    seen = [batch["cursor"].numpy().tolist() for _ in range(2) for batch in resumed]
    assert seen == [[0, 3], [1, 0], [1, 1], [1, 2], [1, 3], [2, 0]]


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_worker_processes_are_refused(connected: Connected, start_method: str) -> None:
    client, _ = connected(samples=SAMPLES)
    dataset = inkstream.torch.StreamDataset(client, PIPELINE)
    dataset.close()
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=1, multiprocessing_context=start_method, timeout=60
    )
    with pytest.raises(inkstream.InvalidRequest, match="num_workers=0"):
        next(iter(loader))


def test_ranks_take_their_part_by_themselves(connected: Connected, tmp_path: Path) -> None:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    client, _ = connected(samples=SAMPLES)
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=1, world_size=4)
    try:
        part = next(iter(inkstream.torch.StreamDataset(client, PIPELINE)))
        whole = next(iter(inkstream.torch.StreamDataset(client, PIPELINE, shard=(0, 1))))
    finally:
        torch.distributed.destroy_process_group()
    assert part["key_id"].tolist() == whole["key_id"].tolist()[4:8]


def test_rows_that_keras_must_not_learn_have_weight_0(connected: Connected) -> None:
    client, _ = connected(samples=SAMPLES)
    dataset = inkstream.keras.StreamDataset(client, PIPELINE.replace(remainder="pad"), initial_epoch=1)
    _, labels, weights = [dataset[step] for step in range(STEPS)][-1]
    real = SAMPLES % BATCH
    expected = expected_batch(PIPELINE, SAMPLES, 1, STEPS - 1)["label"]
    assert labels.tolist() == [*expected, *[0] * (BATCH - real)]
    assert weights.dtype == np.float32 and weights.tolist() == [1] * real + [0] * (BATCH - real)


def test_an_order_of_keras_own_is_refused_with_the_remedy(connected: Connected) -> None:
    client, _ = connected(samples=SAMPLES)
    model = keras.Sequential([keras.layers.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    keras.utils.set_random_seed(1)
    with pytest.raises(inkstream.InvalidRequest, match=r"comes next.*shuffle=False"):
        model.fit(inkstream.keras.StreamDataset(client, PIPELINE), verbose=0)


def test_tensorflow_knows_what_comes(connected: Connected) -> None:
    client, _ = connected(samples=SAMPLES)
    open_ended = inkstream.tensorflow.stream_dataset(client, PIPELINE).element_spec
    assert open_ended["image"] == tf.TensorSpec((None, 16, 16, 1), tf.uint8)
    padded = inkstream.tensorflow.stream_dataset(client, PIPELINE.replace(remainder="pad"), shard=(1, 2), epochs=1)
    assert padded.element_spec["mask"] == tf.TensorSpec((BATCH // 2,), tf.uint8)
    (*_, last) = padded
    assert last["mask"].numpy().tolist() == [0] * (BATCH // 2)


# The pages


@pytest.fixture(scope="module")
def sketches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of 480 drawings of twelve things that can be told apart."""
    folder = tmp_path_factory.mktemp("sketches")
    write_labelled(folder / "drawn", per_class=40, seed=1)
    (folder / "data").mkdir()
    batch_server("import", folder / "drawn", "--dataset", folder / "data" / "doodles.lmdb")
    server = ServerProcess(folder / "data", "--threads", "1")
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture
def run_page(sketches: ServerProcess, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    def run(name: str) -> dict[str, Any]:
        """What the program that the blocks of a page make up has defined at its end."""
        blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL)
        assert "".join(blocks[:2]).count("\n") < 40, "the training loop with all it needs"
        program = tmp_path / f"{name}_page.py"
        program.write_text("".join(blocks).replace("10.0.0.5:50051", sketches.address))
        return runpy.run_path(str(program))

    return run


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # of Keras' own
def test_the_loops_of_pytorch_and_keras_learn_from_the_same_batches(
    run_page: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[tuple[bytes, list[int]]]] = {}  # of each dataset; a page's first one is for training
    batches, item = inkstream.torch.StreamDataset.__iter__, inkstream.keras.StreamDataset.__getitem__

    def recorded_batches(self: Any) -> Iterator[dict[str, Any]]:
        for batch in batches(self):
            images = batch["image"].permute(0, 2, 3, 1).numpy()
            seen.setdefault(id(self), []).append((images.tobytes(), batch["label"].tolist()))
            yield batch

    def recorded_item(self: Any, index: int) -> tuple[np.ndarray, ...]:
        images, labels, weights = item(self, index)
        seen.setdefault(id(self), []).append((images.tobytes(), labels.tolist()))
        return images, labels, weights

    monkeypatch.setattr(inkstream.torch.StreamDataset, "__iter__", recorded_batches)
    monkeypatch.setattr(inkstream.keras.StreamDataset, "__getitem__", recorded_item)
    page = run_page("pytorch")
    assert page["losses"][0] > 1.5 and page["losses"][-1] < page["losses"][0] / 2
    by_torch = seen[id(page["dataset"])]
    assert len(by_torch) == len(set(map(str, by_torch))) == page["EPOCHS"] * len(page["dataset"]) > 20
    page = run_page("keras")
    history = page["history"].history
    assert history["loss"][0] > 1.5 and history["loss"][-1] < history["loss"][0] / 2
    assert history["val_accuracy"][-1] > 3 / 12, "guessing has 1 / 12"
    built_with, *trained_with = seen[id(page["training"])]
    assert built_with == trained_with[0]
    assert trained_with == by_torch


def test_the_loop_of_tensorflow_learns(run_page: Callable[[str], dict[str, Any]]) -> None:
    losses = run_page("tensorflow")["losses"]
    assert losses[0] > 1.5 and losses[-1] < 0.7 * losses[0]
