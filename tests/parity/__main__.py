"""`make parity`: installs the references where they are missing, and compares."""

import subprocess
import sys

from tests.parity.environment import ROOT, references_python

if __name__ == "__main__":
    sys.exit(subprocess.run([references_python(), "-m", "tests.parity.compare", *sys.argv[1:]], cwd=ROOT).returncode)
