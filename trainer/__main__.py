"""The command `trainer`, also as `python -m trainer`."""

import sys


def main() -> int:
    """Runs the command; returns its exit code. Ctrl-C ends it quietly even while libraries are loaded."""
    try:
        from inkstream.allocator import keep_freed_memory
        from trainer.cli import main as run
    except KeyboardInterrupt:
        print("trainer: interrupted", file=sys.stderr)
        return 130
    keep_freed_memory()
    return run()


if __name__ == "__main__":
    sys.exit(main())
