"""Where compiled kernels are kept: a folder per state of the source code, so that no stale one is ever run.

Numba keeps a compiled kernel on disk until the file that holds it changes, and looks at no other file: a kernel would
go on calling what another file said before an update, with other pixels or another order and no error. So the folder's
name is a hash of all source that a kernel is made of. It lies in `NUMBA_CACHE_DIR` where that is set, else beside the
code, and where that cannot be written to, or is full, in the user's own cache folder. Left to itself Numba would find
other places, without the hash.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash

_VARIABLE = "NUMBA_CACHE_DIR"
_PREFIX = "kernels-"

# All kernels take 4 MB.
_ROOM_BYTES = 8 << 20

# Where kernels are, and what they call: files and packages of batch_server. Nothing else imports Numba.
KERNELS = ("drawing", "ordering", "randomness.py", "rendering", "serving/sparse_words.py", "sources", "store")


def use_kernel_cache() -> None:
    """Sets Numba's cache folder. To be called before Numba is imported, which takes long, so not here."""
    package = Path(__file__).parent
    digest = xxhash.xxh3_64()
    for name in KERNELS:
        for file in sorted((package / name).rglob("*.py")) or [package / name]:
            digest.update(file.read_bytes())
    parent = Path(os.environ.get(_VARIABLE) or package / "__pycache__")
    if parent.name.startswith(_PREFIX):
        parent = parent.parent  # a process that started this one has set it
    folders = [each / f"{_PREFIX}{digest.hexdigest()}" for each in (parent, _user_cache())]
    os.environ[_VARIABLE] = str(next(filter(_has_room, folders), folders[0]))


def check_kernel_cache() -> None:
    """Refuses to go on without a place for kernels, which Numba would do in words that help nobody.

    Raises:
        PermissionError: The folder that is set has no room for them.
    """
    folder = Path(os.environ[_VARIABLE])
    if not _has_room(folder):
        raise PermissionError(
            f"compiled kernels need a folder that can be written to, with {_ROOM_BYTES >> 20} MiB free, which neither "
            f"{folder.parent} nor {_user_cache()} is: set {_VARIABLE} to one"
        )


def _user_cache() -> Path:
    """Of this program for this user (specifications.freedesktop.org/basedir-spec)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "inkstream"


def _has_room(folder: Path) -> bool:
    """Whether kernels can be kept in a folder, which is made if it is not there; Numba wants to write even to read."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        is_filled = any(folder.iterdir())
        return os.access(folder, os.W_OK | os.X_OK) and (is_filled or shutil.disk_usage(folder).free >= _ROOM_BYTES)
    return False


@contextmanager
def when_compiling(tell: Callable[[str], None]) -> Iterator[None]:
    """Within it, has it told when a kernel is compiled because it is not in the cache: a start then takes long.

    Args:
        tell: Called once at most, in any thread.
    """
    from numba.core import event  # not above: the cache's folder has to be set before Numba is imported

    class Compilation(event.Listener):
        told = False

        def on_start(self, event: object) -> None:
            if not self.told:
                self.told = True
                tell("compiling kernels: once for this version on this machine, about half a minute")

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Compilation()):
        yield
