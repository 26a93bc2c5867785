"""The command `trainer`, also as `python -m trainer`."""

import os
import sys


def main() -> int:
    """Runs the command; returns its exit code. Ctrl-C ends it quietly even while libraries are loaded."""
    try:
        from inkstream.allocator import keep_freed_memory
        from inkstream.command_line import EXIT_INTERRUPTED
        from trainer.cli import main as run
    except KeyboardInterrupt:
        print("trainer: interrupted", file=sys.stderr)
        return 130
    keep_freed_memory()
    code = run()
    if code == EXIT_INTERRUPTED:  # XLA's threads may still compile, and crash while Python shuts down
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
