"""`make chaos`: every script, one after the other, and the verdicts at the end."""

import subprocess
import sys
import time

from tests.chaos.harness import ROOT, run

SCRIPTS = ("chaos", "elastic", "two_trainers", "overload", "stalled_clients", "connects", "trainers")


def main() -> int:
    """Runs them; 0 when all pass."""
    verdicts = {}
    for name in SCRIPTS:
        print(f"== {name}", flush=True)
        begun = time.monotonic()
        code = subprocess.run([sys.executable, "-m", f"tests.chaos.{name}"], cwd=ROOT).returncode
        verdicts[name] = code, time.monotonic() - begun
    print("==")
    for name, (code, seconds) in verdicts.items():
        print(f"{name:<16} {'FAIL' if code else 'PASS'} {seconds:>6.0f} s")
    return int(any(code for code, _ in verdicts.values()))


if __name__ == "__main__":
    run(main)
