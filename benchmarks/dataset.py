"""The drawings that benchmarks use: real ones where they lie beside the project, else generated sketches."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import inkstream
from batch_server.store.reader import Dataset
from deploy.sketches import write_labelled

BATCH_SERVER = (sys.executable, "-m", "batch_server")
# What every benchmark asks for, unless it says otherwise.
AUGMENT = inkstream.Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1), stroke_dropout=0.05)

QUICKDRAW = Path(__file__).resolve().parents[2] / "shared" / "data" / "quickdraw"
REAL_DRAWINGS = (QUICKDRAW / "simplified-ndjson", QUICKDRAW / "simplified-jsonl-nometa")


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


def drawings_in(dataset: Path) -> str:
    """What a dataset of `imported_dataset` holds, in words."""
    kind = "drawings of Quick, Draw!" if any(path.exists() for path in REAL_DRAWINGS) else "generated sketches"
    return f"{Dataset.open(dataset).samples:,} {kind}"


@contextmanager
def served(dataset: Path) -> Iterator[str]:
    """The address of a server, on this machine, of a dataset that is alone in its folder."""
    command = [*BATCH_SERVER, "serve", "--data", str(dataset.parent), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().removeprefix("listening on ").strip()
            if not address:
                raise RuntimeError(f"the server did not start: {' '.join(command)}")
            yield address
        finally:
            server.terminate()
