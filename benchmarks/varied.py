"""Runs a module with constants of the product changed: `python -m benchmarks.varied CONSTANTS MODULE WORD...`.

What nobody should have to set is a constant and no option, and a benchmark still has to compare its values. CONSTANTS
is JSON: `{"inkstream.chunking.CHUNK_BYTES": 65536}`. For a constant that holds options of gRPC, pairs of name and
value, it is an object of those to add or to replace.
"""

import importlib
import json
import runpy
import sys
from typing import Any


def change(constants: dict[str, Any]) -> None:
    """Sets constants, also where other modules have imported them by name.

    Raises:
        AttributeError: A module has no such constant.
    """
    for path, value in constants.items():
        module, _, name = path.rpartition(".")
        old = getattr(importlib.import_module(module), name)
        new = tuple((dict(old) | value).items()) if isinstance(value, dict) else value
        for loaded in list(sys.modules.values()):
            if getattr(loaded, "__dict__", {}).get(name) == old and loaded.__name__.startswith(
                ("inkstream", "batch_server")
            ):
                setattr(loaded, name, new)


if __name__ == "__main__":
    changes, module, *words = sys.argv[1:]
    if module == "batch_server":
        importlib.import_module("batch_server.cli")  # so that every copy of a constant is there to be changed
    change(json.loads(changes))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__")
