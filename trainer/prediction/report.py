"""What an evaluation leaves for people to look at: tables, the confusion matrix, the most confident mistakes.

classes.csv     a row per class that has samples
confusion.csv   how often samples of each class were taken for each class
confusion.png   the same as a picture
mistakes.png    the wrong guesses that the model was most sure of; not there without one
"""

import csv
import heapq
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inkstream.pipeline import Render
from trainer.inference import Rows
from trainer.input import HostBatch
from trainer.metrics import Tally
from trainer.prediction.confusion import Confusion
from trainer.prediction.pictures import Captioned, draw_sheet

MISTAKES = 24


class Report:
    """Collects what it shows, batch by batch."""

    def __init__(self, classes: Sequence[str], render: Render):
        """Of a model with outputs for these classes, which is shown pictures drawn so."""
        self._classes, self._render = classes, render
        self._confusion = Confusion(classes)
        self._mistakes: list[tuple[float, int, Captioned]] = []  # a heap: the least confident first
        self._seen = 0

    def add(self, batch: HostBatch, rows: Rows) -> None:
        """Adds the rows that count."""
        guesses = rows.log_probabilities.argmax(axis=-1)
        counted = rows.mask != 0
        self._confusion.add(rows.labels[counted], guesses[counted])
        for row in np.flatnonzero(counted & (guesses != rows.labels)):
            self._seen += 1
            guess, truth = guesses[row], rows.labels[row]
            probability, right = np.exp(rows.log_probabilities[row, [guess, truth]])
            if len(self._mistakes) == MISTAKES and probability <= self._mistakes[0][0]:
                continue
            mistake = Captioned(
                batch["image"][row].copy(),
                f"{self._classes[guess]} {probability:.1%}",
                "tab:red",
                [f"is {self._classes[truth]} {right:.1%}", str(batch["key_id"][row])],
            )
            heapq.heappush(self._mistakes, (float(probability), -self._seen, mistake))
            if len(self._mistakes) > MISTAKES:
                heapq.heappop(self._mistakes)

    def write(self, folder: Path, tally: Tally) -> None:
        """Writes the files.

        Args:
            folder: Created if it does not exist; files of the same names are replaced.
            tally: Of the same rows.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._write_classes(folder / "classes.csv", tally)
        self._confusion.write(folder / "confusion.csv")
        self._confusion.draw(folder / "confusion.png")
        sheet = folder / "mistakes.png"
        sheet.unlink(missing_ok=True)
        if self._mistakes:
            draw_sheet(sheet, [mistake for *_, mistake in sorted(self._mistakes, reverse=True)], self._render)

    def _write_classes(self, path: Path, tally: Tally) -> None:
        guessed = self._confusion.counts.sum(axis=0)
        with open(path, "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["class", "samples", "top1", "top3", "precision", "most_taken_for", "how_often"])
            for name, samples, first, third, taken, other in zip(
                self._classes,
                tally.samples.tolist(),
                tally.first.tolist(),
                tally.third.tolist(),
                guessed.tolist(),
                self._confusion.most_taken_for(),
                strict=True,
            ):
                if samples:
                    precision = f"{first / taken:.4f}" if taken else ""
                    table.writerow(
                        [name, samples, f"{first / samples:.4f}", f"{third / samples:.4f}", precision, *other]
                    )
