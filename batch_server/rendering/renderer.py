"""`draw`: packed records in, pictures out, in the style that the pipeline asks for."""

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from batch_server.rendering.antialiased import draw_chunk
from batch_server.rendering.classic import draw_classic
from batch_server.rendering.settings import settings_of
from inkstream.pipeline import Augment, Render

# Raised by one with any change of pixels: runs name the version that drew them, and clients refuse another.
RENDERER_VERSION = 2

NO_AUGMENT = Augment()

Scalar = TypeVar("Scalar", bound=np.generic)


class PackedRecords(Protocol):
    """Records of `n` samples back to back.

    Attributes:
        data: uint8 `[bytes]`.
        offsets: int64 `[n + 1]`; record i is `data[offsets[i]:offsets[i + 1]]`.
    """

    @property
    def data(self) -> npt.NDArray[np.uint8]: ...  # noqa: D102

    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...  # noqa: D102


def draw(
    records: PackedRecords,
    key_ids: npt.NDArray[np.uint64],
    *,
    seed: int,
    epoch: int,
    render: Render,
    augment: Augment | None,
    out: npt.NDArray[np.uint8],
) -> None:
    """Draws a chunk of a batch.

    A row's picture follows from its record, its key id and the settings alone, bit for bit: not from the other rows,
    their order, the thread or the processor. The GIL is free while it draws.

    Args:
        records: The drawings' packed records; where one is empty the row becomes paper.
        key_ids: uint64 `[n]`, the samples' names, by which they are augmented.
        seed: Of the run, 0 to 2**64 - 1.
        epoch: Of the run, 0 to 2**64 - 1.
        render: How drawings become pictures.
        augment: How drawings are varied, or None.
        out: uint8 `[n, size, size, channels]`, C-contiguous; receives the pictures.

    Raises:
        ValueError: An array does not fit the others or the settings, or a record is not a well-formed drawing.
    """
    shape = (len(key_ids), render.size, render.size, render.channels)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"out must be uint8 {shape}, C-contiguous, got {out.dtype} {out.shape}")
    data = _read_only(records.data, np.uint8)
    offsets = _read_only(records.offsets, np.int64)
    if len(offsets) != len(key_ids) + 1:
        raise ValueError(f"{len(key_ids)} key ids need {len(key_ids) + 1} offsets, got {len(offsets)}")
    if offsets[0] < 0 or offsets[-1] > len(data) or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"offsets must rise from 0 to at most the {len(data)} bytes of the records")
    settings = settings_of(seed, epoch, render, augment or NO_AUGMENT)
    draw_style = draw_classic if render.style == "classic" else draw_chunk
    pictures = out.reshape(len(key_ids), render.size * render.size * render.channels)
    bad_row = draw_style(data, offsets, _read_only(key_ids, np.uint64), settings, pictures)
    if bad_row >= 0:
        raise ValueError(f"the record of row {bad_row} (key id {key_ids[bad_row]}) is not a well-formed drawing")


def _read_only(array: npt.NDArray[Scalar], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    """The array as kernels are compiled for it: one type, whether it comes from a file's pages or from memory."""
    view = np.require(array, dtype, ("C", "A")).view()
    view.setflags(write=False)
    return view
