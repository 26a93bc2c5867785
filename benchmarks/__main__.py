"""`python -m benchmarks [NAME...]`: measures, keeps the results, and writes docs/benchmarks.md.

Without names the quick ones, each less than a minute: that is `make bench`. Others keep the results that they had.
"""

import argparse
from importlib import import_module

from benchmarks.dataset import drawings_in, imported_dataset
from benchmarks.page import LONG, QUICK, write
from benchmarks.results import keep, run_of_today

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((*QUICK, *LONG)))
    names = parser.parse_args().names or QUICK
    if unknown := set(names) - {*QUICK, *LONG}:
        parser.error(f"a benchmark is one of {', '.join((*QUICK, *LONG))}, got {', '.join(sorted(unknown))}")
    with imported_dataset() as path:
        for name in names:
            tables = import_module(f"benchmarks.{name}").tables(path)
            for table in tables:
                print(table.as_text(), flush=True)
            keep(name, run_of_today(drawings_in(path), tables))
    write()
