"""The drawings that benchmarks use: real ones where they lie beside the project, else generated sketches."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import inkstream
from deploy.sketches import write_labelled

BATCH_SERVER = (sys.executable, "-m", "batch_server")
# What every benchmark asks for, unless it says otherwise.
AUGMENT = inkstream.Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1), stroke_dropout=0.05)

_QUICKDRAW = Path(__file__).resolve().parents[2] / "shared" / "data" / "quickdraw"
REAL_DRAWINGS = (_QUICKDRAW / "simplified-ndjson", _QUICKDRAW / "simplified-jsonl-nometa")


@contextmanager
def imported_dataset() -> Iterator[Path]:
    """A dataset `drawings.lmdb`, alone in its folder, that lasts as long as the context."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sources = [path for path in REAL_DRAWINGS if path.exists()]
        if not sources:
            sources = [folder / "sketches"]
            write_labelled(sources[0], per_class=500, seed=1)
        dataset = folder / "data" / "drawings.lmdb"
        dataset.parent.mkdir()
        command = [*BATCH_SERVER, "import", *map(str, sources), "--dataset", str(dataset)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield dataset
