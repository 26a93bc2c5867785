"""How far a run has come, apart from what it has learnt: part of every checkpoint."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import inkstream
from inkstream.command_line import UsageError
from trainer.optimization.patience import Patience


@dataclass(frozen=True)
class Standing:
    """How far a run has come.

    Args:
        step: Steps done.
        cursor: Position in the stream after them.
        patience: After the last evaluation.
    """

    step: int = 0
    cursor: inkstream.Cursor = inkstream.Cursor(0, 0)
    patience: Patience = Patience()

    def check_not_past(self, steps: int) -> None:
        """Refuses an end of a run that it has already passed.

        Raises:
            UsageError: It has done more than `steps` steps.
        """
        if self.step > steps:
            raise UsageError(
                f"the run has done {self.step:,} steps and is to end after {steps:,}: set --steps or --epochs to more"
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"step": self.step, "cursor": list(self.cursor), "patience": dataclasses.asdict(self.patience)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """What `to_json` made."""
        return cls(record["step"], inkstream.Cursor(*record["cursor"]), Patience(**record["patience"]))
