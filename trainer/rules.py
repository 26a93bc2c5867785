"""Rules that settings are checked by: each raises ValueError with the setting's name, the rule and the value."""

import math
from collections.abc import Mapping


def number(name: str, value: float, low: float, high: float, *, below: bool = False) -> None:
    """From `low` to `high`, or with `below` less than that."""
    if not (math.isfinite(value) and low <= value <= high and not (below and value == high)):
        raise ValueError(f"{name} must be a number from {low:g} {'below' if below else 'to'} {high:g}, got {value!r}")


def choice(name: str, value: str, choices: Mapping[str, object] | tuple[str, ...]) -> None:
    """One of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
