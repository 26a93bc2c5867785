"""`make parity [MODELS="vgg19 resnet50"]`: compares with the references, then trains a step and saves it."""

import subprocess
import sys

from deploy.pinned_environment import ROOT, python_with
from tests.parity.training import HEADER
from trainer.models import MODELS

if __name__ == "__main__":
    names = sys.argv[1:] or list(MODELS)
    python = python_with(ROOT / "requirements" / "references.txt", "[trainer]")
    compared = [name for name in names if MODELS[name].source != "our own"]
    failed = subprocess.run([python, "-m", "tests.parity.compare", *compared], cwd=ROOT).returncode
    print(f"\n{HEADER}", flush=True)
    for name in names:  # each gives its memory back at its end
        failed |= subprocess.run([sys.executable, "-m", "tests.parity.training", name], cwd=ROOT).returncode
    sys.exit(failed)
