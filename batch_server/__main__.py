"""The command `batch-server`, also as `python -m batch_server`."""

import sys


def main() -> int:
    """Runs the command; returns its exit code. Ctrl-C ends it quietly even while libraries are loaded."""
    # Numba would import SciPy where the trainer is installed, too: 0.15 s for functions that no kernel calls.
    sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]
    try:
        from batch_server.cli import main as run
    except KeyboardInterrupt:
        print("batch-server: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
