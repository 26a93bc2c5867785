"""A small contact sheet of what is being served: the rows that were sent last, drawn again.

Nothing is kept of what was sent: a batch is a pure function of its position.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping

from batch_server.batches import BatchMaker, tensor_specs
from batch_server.contact_sheet import Card, contact_sheet, png
from batch_server.preview import cards
from batch_server.serving.catalog import Catalog
from batch_server.serving.figures import SentRows
from inkstream.chunking import Span
from inkstream.errors import InkstreamError

_COLUMNS, _MAX_DATASETS = 8, 4
# For the pictures of one dataset while they are drawn; it is not of the server's memory for chunks.
_MAX_BYTES = 8 << 20
# However many people look: drawing takes milliseconds of one core.
_DRAW_EVERY_S = 2.0


class ServedPictures:
    """Draws the sheet when somebody asks, at most every two seconds.

    Args:
        catalog: Where the datasets are found.
        latest: Returns the rows that were sent last, by dataset.
    """

    def __init__(self, catalog: Catalog, latest: Callable[[], Mapping[str, SentRows]]):
        self._catalog, self._latest = catalog, latest
        self._lock = threading.Lock()
        self._drawn_at, self._sheet = -math.inf, b""

    def png(self) -> bytes:
        """The sheet as a PNG file; empty while nothing was sent."""
        with self._lock:
            if time.monotonic() - self._drawn_at >= _DRAW_EVERY_S:
                self._sheet = self._draw()
                self._drawn_at = time.monotonic()
            return self._sheet

    def _draw(self) -> bytes:
        pictures: list[Card] = []
        lines = []
        for dataset, sent in sorted(self._latest().items())[:_MAX_DATASETS]:
            try:
                pictures += self._cards(dataset, sent)
            except InkstreamError:  # its data are rotten, or gone: there is nothing to show
                continue
            lines.append(f"{dataset}: epoch {sent.epoch}, step {sent.step:,}")
        return png(contact_sheet("Sent last", "; ".join(lines), pictures, _COLUMNS)) if pictures else b""

    def _cards(self, dataset: str, sent: SentRows) -> list[Card]:
        served = self._catalog.by_fingerprint(sent.fingerprint, dataset)
        if served is None:
            return []
        row_bytes = math.prod(tensor_specs(sent.pipeline.render)[0].row_shape)
        most = max(1, min(_COLUMNS, _MAX_BYTES // row_bytes))
        rows = Span(sent.rows.start, min(sent.rows.start + most, sent.rows.stop))
        maker = BatchMaker(served.dataset, sent.pipeline)
        return cards(maker, maker.chunk(sent.epoch, sent.step, rows, blank_rotten=True))
