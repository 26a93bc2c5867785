"""`python -m batch_server` is the command `batch-server`."""

import sys

from batch_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
