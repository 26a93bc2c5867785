"""Options that say how drawings become pictures, and what they mean as settings of a pipeline."""

import argparse
from typing import Any

from inkstream.pipeline import ENCODINGS, STYLES, Augment, Erase, Pipeline, Render

# Defaults come from the pipeline's own.
_RENDER = Render()
_AUGMENT = Augment()
_VARIED = {
    "rotate_deg": "rotation, uniform in -X..X degrees",
    "shift": "shift per axis, uniform in -X..X of the side",
    "shear": "shear per axis, uniform in -X..X",
    "scale": "magnification of each axis for itself",
    "zoom": "magnification of both axes",
    "flip_horizontal": "probability of a mirror image left to right",
    "flip_vertical": "probability of a mirror image top to bottom",
    "stroke_dropout": "probability with which each stroke is left out",
    "jitter": "displacement of each point, uniform in -X..X of the side",
    "line_width": "factor on the width of lines",
    "crop": "share of the side that a random crop cuts away",
}

# Of every option here, by the name under which it is found.
PICTURE_DEFAULTS: dict[str, Any] = {
    "size": _RENDER.size,
    "encoding": _RENDER.encoding,
    "style": _RENDER.style,
    "erase": False,
    **{name: getattr(_AUGMENT, name) for name in _VARIED},
}


def add_render(parser: argparse.ArgumentParser) -> None:
    """How drawings are drawn."""
    how = parser.add_argument_group("how they are drawn")
    how.add_argument("--size", type=int, default=_RENDER.size, metavar="PX", help="side of a picture")
    how.add_argument("--encoding", choices=ENCODINGS, default=_RENDER.encoding, help="how strokes become colours")
    how.add_argument("--style", choices=STYLES, default=_RENDER.style, help="how lines are drawn")


def add_augment(parser: argparse.ArgumentParser) -> None:
    """How they are varied."""
    varied = parser.add_argument_group("how they are varied (the settings of inkstream.Augment)")
    for name, text in _VARIED.items():
        default = getattr(_AUGMENT, name)
        pair = isinstance(default, tuple)
        varied.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            nargs=2 if pair else None,
            metavar=("LOW", "HIGH") if pair else "X",
            default=default,
            help=text,
        )
    varied.add_argument("--erase", action="store_true", help="random erasing")


def render(options: argparse.Namespace) -> Render:
    """What `add_render` declared."""
    return Render(size=options.size, encoding=options.encoding, style=options.style)


def augment(options: argparse.Namespace) -> Augment:
    """What `add_augment` declared."""
    settings = {name: getattr(options, name) for name in _VARIED}
    return Augment(**settings, erase=Erase() if options.erase else None)


def own_settings(options: argparse.Namespace, defaults: dict[str, Any]) -> list[str]:
    """The options given that a pipeline file decides, as they are typed.

    Args:
        options: With a value for each name in `defaults`.
        defaults: What they are if not given.
    """
    return [f"--{name.replace('_', '-')}" for name, value in defaults.items() if getattr(options, name) != value]


def described(pipeline: Pipeline) -> list[str]:
    """The settings that a viewer can see, without those at rest."""
    pictures = pipeline.render
    parts = [f"{pictures.size} px, {pictures.encoding}, {pictures.style}"]
    variation = pipeline.augment or _AUGMENT
    for name in _VARIED:
        value = getattr(variation, name)
        if value != getattr(_AUGMENT, name):
            shown = f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{value:g}"
            parts.append(f"{name} {shown}")
    if variation.erase:
        parts.append("erase")
    return parts
