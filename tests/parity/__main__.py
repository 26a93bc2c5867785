"""`make parity`: installs the references where they are missing, and compares."""

import subprocess
import sys

from deploy.pinned_environment import ROOT, python_with

if __name__ == "__main__":
    python = python_with(ROOT / "requirements" / "references.txt", "[trainer]")
    sys.exit(subprocess.run([python, "-m", "tests.parity.compare", *sys.argv[1:]], cwd=ROOT).returncode)
