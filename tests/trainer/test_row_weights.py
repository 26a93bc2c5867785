import numpy as np
import pytest

from inkstream.command_line import UsageError
from trainer.optimization.settings import BALANCED, Optimization
from trainer.row_weights import RowWeights, weights_of_classes
from trainer.sample_weights import SampleWeights

CLASSES = ("cat", "dog", "owl")


def loaded(tmp_path, text):
    path = tmp_path / "weights.csv"
    path.write_text(text)
    return SampleWeights.load(path)


def test_rows_weigh_by_class_and_by_key_id(tmp_path):
    samples = loaded(tmp_path, f"key_id,weight\n{2**64 - 1},3\n7,0.5\n")
    classes = weights_of_classes(Optimization(class_weights=(("dog", 2.0),)), CLASSES, (1, 1, 1))
    found = RowWeights(classes, samples).of(np.array([0, 1, 1, 2]), np.array([7, 7, 8, 2**64 - 1], np.uint64))
    assert found.dtype == np.float32 and found.tolist() == [0.5, 1.0, 2.0, 3.0]


def test_balanced_classes_weigh_the_same_and_rows_one_on_average():
    counts = np.array([10, 40, 50])
    weights = weights_of_classes(Optimization(class_weights=BALANCED), CLASSES, counts)
    np.testing.assert_allclose(weights * counts, 100 / 3, rtol=1e-6)


def test_the_digest_is_that_of_the_weights_not_of_the_file(tmp_path):
    one = loaded(tmp_path, "key_id,weight\n1,2\n3,4\n")
    two = loaded(tmp_path, "\ufeffkey_id,weight\r\n3,4.0\r\n\r\n1,2.0\r\n\n")  # as a spreadsheet may write it
    assert one.digest == two.digest != loaded(tmp_path, "key_id,weight\n1,2\n3,5\n").digest
    assert loaded(tmp_path, "key_id,weight\n").of(np.array([5], np.uint64)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1,2\n", "must begin with the line key_id,weight, got 1,2"),
        ("key_id,weight\n1,2\n1,2\n", "line 3: must be a key id, once in the file"),
        ("key_id,weight\n1,-2\n", "line 2: must be .* got 1,-2"),
        ("key_id,weight\n1,nan\n", "line 2"),
        ("key_id,weight\n1\n", "line 2"),
        (f"key_id,weight\n{2**64},1\n", "line 2"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_line(tmp_path, text, named):
    with pytest.raises(UsageError, match=named):
        loaded(tmp_path, text)


def test_ids_that_are_not_in_the_dataset_are_refused_by_count_and_name(tmp_path):
    samples = loaded(tmp_path, "key_id,weight\n" + "".join(f"{number},2\n" for number in range(1, 9)))
    with pytest.raises(UsageError, match=r"has 6 key ids of 8 that are not in the dataset: 1, 3, 4, 6, 7 \.\.\."):
        samples.check_known([np.array([2, 9], np.uint64), np.array([5], np.uint64)])

    def endless():
        while True:
            yield np.arange(10, dtype=np.uint64)

    samples.check_known(endless())  # it looks no further than it must
