"""`make bench`: every benchmark."""

from benchmarks import stream
from benchmarks.dataset import imported_dataset

if __name__ == "__main__":
    with imported_dataset() as path:
        for measure in (stream.tables,):
            for table in measure(path):
                print(table.as_text())
