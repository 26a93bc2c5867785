"""Rules for settings: each broken one is noted with the field, the rule and the value, and all are raised at once."""

import math
from dataclasses import fields

from inkstream.errors import InvalidPipeline, Violation


class Rules:
    """Collects the violations of one object, so that a user sees all of them at once."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def need(self, holds: bool, field: str, rule: str) -> None:
        """Notes that `field` breaks `rule` unless it holds."""
        if not holds:
            self.violations.append(Violation(field, rule))

    def number(self, field: str, value: object, low: float, high: float, *, below: bool = False) -> bool:
        """Whether `value` is a finite number in low..high (with `below`: less than high)."""
        holds = (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and math.isfinite(value)
            and low <= value <= high
            and not (below and value == high)
        )
        end = "below" if below else "to"
        self.need(holds, field, f"must be a number from {low:g} {end} {high:g}, got {value!r}")
        return holds

    def integer(self, field: str, value: object, low: int, high: int) -> bool:
        """Whether `value` is a whole number in low..high."""
        holds = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        self.need(holds, field, f"must be a whole number from {low:,} to {high:,}, got {value!r}")
        return holds

    def choice(self, field: str, value: object, choices: tuple[str, ...]) -> bool:
        """Whether `value` is one of the choices."""
        holds = isinstance(value, str) and value in choices
        self.need(holds, field, f"must be one of {', '.join(choices)}, got {value!r}")
        return holds

    def flag(self, field: str, value: object) -> None:
        """Wants a bool."""
        self.need(isinstance(value, bool), field, f"must be true or false, got {value!r}")

    def interval(self, field: str, value: object, low: float, high: float) -> None:
        """Wants a pair in rising order, both within low..high."""
        if not (isinstance(value, tuple) and len(value) == 2):
            self.need(False, field, f"must be a pair (low, high), got {value!r}")
            return
        if self.number(f"{field}.low", value[0], low, high) and self.number(f"{field}.high", value[1], low, high):
            self.need(value[0] <= value[1], field, f"low must be at most high, got {value}")

    def check(self) -> None:
        """Raises InvalidPipeline if any rule was broken."""
        if self.violations:
            raise InvalidPipeline(self.violations)


def make_plain(settings: object) -> None:
    """Turns NumPy scalars and lists into plain numbers and tuples, so that settings compare and print alike."""
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if hasattr(value, "item") and getattr(value, "shape", None) == ():
            object.__setattr__(settings, field.name, value.item())
        elif isinstance(value, list):
            object.__setattr__(settings, field.name, tuple(value))


def make_floats(settings: object, *names: str) -> None:
    """Makes 10 and 10.0 the same setting, and -0.0 and 0.0: equal batches must have equal digests."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, tuple):
            object.__setattr__(settings, name, tuple(float(end) + 0.0 for end in value))
        elif value is not None:
            object.__setattr__(settings, name, float(value) + 0.0)
