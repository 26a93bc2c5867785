"""Prints the tables."""

from benchmarks.dataset import imported_dataset
from benchmarks.peers.measuring import tables

if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
