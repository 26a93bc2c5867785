"""`make parity [MODELS="vgg19 resnet50"]`: compares with the references, then trains a step and saves it."""

import subprocess
import sys

from deploy.pinned_environment import ROOT, python_with
from tests.parity.training import HEADER
from trainer.models import MODELS

if __name__ == "__main__":
    names = sys.argv[1:] or [name for name, kind in MODELS.items() if kind.source != "our own"]
    python = python_with(ROOT / "requirements" / "references.txt", "[trainer]")
    failed = subprocess.run([python, "-m", "tests.parity.compare", *names], cwd=ROOT).returncode
    print(f"\n{HEADER}", flush=True)
    for name in names:  # each gives its memory back at its end
        failed |= subprocess.run([sys.executable, "-m", "tests.parity.training", name], cwd=ROOT).returncode
    sys.exit(failed)
