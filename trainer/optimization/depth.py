"""How deep a parameter stands in a model: by it the first stages are frozen, and each has a learning rate of its own.

Depth is counted in stages that hold parameters; those that only pool or drop have none. The head is the deepest.
"""

from collections.abc import Mapping
from typing import Any

import jax

from inkstream.command_line import UsageError
from trainer.optimization.settings import ALL

Params = Mapping[str, Any]  # of a model: `stages`, by their numbers, and `head`


def depths(params: Params) -> list[int]:
    """The numbers of the stages that hold parameters, rising."""
    return sorted(number for number, stage in params.get("stages", {}).items() if jax.tree.leaves(stage))


def frozen_stages(params: Params, freeze: int | str) -> int:
    """How many of a model's stages, all kinds counted, are frozen.

    Args:
        params: Of the model.
        freeze: Stages with parameters, from the first on; or `ALL`.

    Raises:
        UsageError: There are fewer.
    """
    numbers = depths(params)
    count = len(numbers) if freeze == ALL else int(freeze)
    if count > len(numbers):
        raise UsageError(f"--freeze must be at most {len(numbers)}, the stages of this model, or {ALL}, got {count}")
    return numbers[count - 1] + 1 if count else 0


def parted(params: Params, frozen: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters that stay and those that are trained; `united` makes one tree of them.

    Args:
        params: Of the model.
        frozen: As `frozen_stages` counts.
    """
    head = {name: part for name, part in params.items() if name != "stages"}
    stages = params.get("stages", {})
    stay = {number: stage for number, stage in stages.items() if number < frozen}
    trained = {number: stage for number, stage in stages.items() if number >= frozen}
    return _with_stages({}, stay), _with_stages(head, trained)


def united(stay: Params, trained: Params) -> dict[str, Any]:
    """The parameters of the model whose parts `parted` made."""
    return _with_stages(trained, {**stay.get("stages", {}), **trained.get("stages", {})})


def _with_stages(rest: Params, stages: Mapping[int, Any]) -> dict[str, Any]:
    """Without stages, without the word: a tree that is empty somewhere is not what is restored from a checkpoint."""
    return {**rest, "stages": dict(stages)} if stages else dict(rest)


def rate_factors(params: Params, decay: float) -> dict[str, Any]:
    """A factor on the learning rate for each parameter, like `params` (layer-wise decay, arXiv 2003.10555).

    It is 1 in the head, `decay` in the last stage, `decay` ** 2 in the one before it, and so on.
    """
    numbers = depths(params)
    factors = {number: decay ** (len(numbers) - depth) for depth, number in enumerate(numbers)}

    def factor(path: tuple[Any, ...], leaf: Any) -> float:
        return factors[path[1].key] if path[0].key == "stages" else 1.0

    return jax.tree_util.tree_map_with_path(factor, dict(params))
