"""Ctrl-C while a command's libraries are loaded, which takes a second or two: no traceback, exit code 130."""

import subprocess
import sys

import pytest

# Runs a command in which SIGINT arrives when a certain module is looked for.
COMMAND = """
import runpy, signal, sys

class Interrupt:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module:
            signal.raise_signal(signal.SIGINT)

_, package, subcommand, module = sys.argv
sys.argv = [package, subcommand]
sys.meta_path.insert(0, Interrupt)
runpy.run_module(package, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("package", "subcommand", "module"),
    [
        ("batch_server", "serve", "inkstream"),
        ("batch_server", "serve", "grpc._cython"),
        ("batch_server", "serve", "numba"),
        ("trainer", "models", "inkstream"),
        ("trainer", "models", "jax"),
    ],
)
def test_ctrl_c_while_a_library_is_loaded(package: str, subcommand: str, module: str) -> None:
    command = [sys.executable, "-c", COMMAND, package, subcommand, module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
