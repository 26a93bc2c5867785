"""How an import tells what it does."""

from batch_server.importing import reading
from batch_server.progress import ConsoleProgress


class ConsoleDisplay(ConsoleProgress):
    """The phases of an import."""

    def looking(self) -> None:
        """The sources are being looked at."""
        self.tell("looking at the sources", 0, None)

    def reading(self, progress: reading.Progress, total_bytes: int) -> None:
        """They are being read."""
        done = min(progress.read_bytes, total_bytes)  # a gzipped file is longer than its size on disk tells
        self.tell("reading", done, total_bytes, f"{progress.rows:,} drawings")

    def writing(self, rows: int, total_rows: int) -> None:
        """The dataset is being written."""
        self.tell("writing", rows, total_rows, f"{rows:,} drawings")
