"""`batch-server` as it would be if it drew other pixels: `python -m tests.other_renderer VERSION serve ...`."""

import sys
from typing import Any

import numpy as np

from batch_server import batches, rendering
from batch_server.cli import main
from batch_server.rendering import draw, self_test


def draw_negative(*arguments: Any, out: np.ndarray, **settings: Any) -> None:
    draw(*arguments, out=out, **settings)
    np.invert(out, out=out)


if __name__ == "__main__":
    # Before the service is imported, which keeps its own name of the version.
    rendering.RENDERER_VERSION = int(sys.argv[1])
    batches.draw = self_test.draw = draw_negative
    sys.exit(main(sys.argv[2:]))
