import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch_server.serving.sparse_words import encode_sparse_words
from inkstream.compression import decode
from inkstream.v1 import batch_service_pb2 as pb


def encoded_words(values: np.ndarray, paper: bytes) -> np.ndarray:
    words = encode_sparse_words(values, paper)
    out = np.empty(words.size_bytes, np.uint8)
    words.write(out)
    return out


@st.composite
def drawings(draw: st.DrawFn) -> tuple[np.ndarray, bytes]:
    """Runs of paper and ink of any length, in whole pixels."""
    paper = draw(st.sampled_from([b"\0", b"\xff", b"\7", b"\0\0\0", b"\xff\xff\xff", b"\1\2\3"]))
    runs = draw(st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=40)), max_size=6))
    data = bytearray()
    for pixels, ink in runs:
        data += paper * pixels + ink[: len(ink) // len(paper) * len(paper)]
    return np.frombuffer(bytes(data), np.uint8), paper


@given(drawings())
def test_the_clients_decoder_reads_it(drawing: tuple[np.ndarray, bytes]) -> None:
    values, paper = drawing
    encoded = encoded_words(values.copy(), paper)
    decoded = np.full(values.size, 9, np.uint8)
    decode(pb.COMPRESSION_SPARSE_WORDS, encoded.data, decoded, paper)
    assert np.array_equal(decoded, values)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_word_is_sent_for_ink_and_for_each_255_words_of_paper(before: int, after: int) -> None:
    words = np.zeros(before + 1 + after, np.uint64)
    words[before] = 1
    encoded = encoded_words(words.view(np.uint8), b"\0")
    assert encoded[:4].view("<u4")[0] == before // 255 + 1
    assert encoded.size == 4 + 9 * (before // 255 + 1)


def test_nothing_but_paper_is_four_bytes() -> None:
    assert encoded_words(np.full(30_000, 200, np.uint8), b"\xc8").tobytes() == bytes(4)
    assert encoded_words(np.tile(np.array([1, 2, 3], np.uint8), 8000), b"\1\2\3").tobytes() == bytes(4)


def test_noise_grows_by_an_eighth_at_most() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8)
    assert encoded_words(noise, b"\0").size <= 4 + noise.size * 9 // 8
