"""The command `batch-server`, also as `python -m batch_server`."""

import os
import sys


def main() -> int:
    """Runs the command; returns its exit code. Ctrl-C ends it quietly even while libraries are loaded."""
    # Numba loads these where they are installed for the trainer or for tests: 0.2 s for what no kernel needs.
    sys.modules.update(dict.fromkeys(("cffi", "scipy", "yaml")))  # type: ignore[arg-type]
    # NumPy's linear algebra starts a thread for each core, and nothing here uses it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from batch_server.cli import main as run
    except KeyboardInterrupt:
        print("batch-server: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
