"""What a batch holds: the settings of a pipeline, checked and completed when they are constructed.

A constructed `Pipeline` is valid and normalized: every default is filled in and lists are sorted, so equal pipelines
compare equal and have equal digests. What depends on a dataset (that a class exists, say) is the server's to check.
"""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from inkstream.rules import Rules, make_floats, make_plain

SPLITS = ("train", "validation", "all")
REMAINDERS = ("short", "pad", "drop")
ENCODINGS = ("gray", "rainbow", "order", "thirds")
STYLES = ("antialiased", "classic")
FILLS = ("random", "paper", "value")

MAX_BATCH_SIZE = 65_536
MIN_SIZE_PX, MAX_SIZE_PX = 8, 1_280
MAX_FILTER_CLASSES, MAX_FILTER_COUNTRIES = 10_000, 1_000


@dataclass(frozen=True)
class Render:
    """How a sample becomes a picture, uint8 `[size, size, channels]`.

    Args:
        size: Side in pixels, 8 to 1,280.
        encoding: `gray` and `order` give one channel, `rainbow` and `thirds` three.
        style: `antialiased`, or `classic` (drawn at 256 px, then resized, as the competition's pipelines did).
        line_width_px: Width of a line in pixels of the picture, 0.5 to 64 and at most a quarter of the side; 2 unless
            given. Antialiased only.
        ink: Value of ink, 0 to 255; 255 unless given, 0 in classic. Classic rainbow has colours of its own.
        paper: Value of paper in every channel, 0 to 255, another than ink; 0 unless given, 255 in classic.

    Raises:
        InvalidPipeline: A setting breaks its rule.
    """

    size: int = 128
    encoding: str = "gray"
    style: str = "antialiased"
    line_width_px: float | None = None
    ink: int | None = None
    paper: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        rules = Rules()
        sized = rules.integer("render.size", self.size, MIN_SIZE_PX, MAX_SIZE_PX)
        rules.choice("render.encoding", self.encoding, ENCODINGS)
        rules.choice("render.style", self.style, STYLES)
        classic = self.style == "classic"
        if classic:
            rules.need(self.line_width_px is None, "render.line_width_px", "classic has lines of 3 px: leave it out")
        else:
            if self.line_width_px is None:
                object.__setattr__(self, "line_width_px", 2.0)
            if rules.number("render.line_width_px", self.line_width_px, 0.5, 64) and sized:
                assert self.line_width_px is not None
                most = self.size / 4
                rule = f"must be at most a quarter of the side, {most:g}, got {self.line_width_px:g}"
                rules.need(self.line_width_px <= most, "render.line_width_px", rule)
        if classic and self.encoding == "rainbow":
            for name in ("ink", "paper"):
                rules.need(getattr(self, name) is None, f"render.{name}", "classic rainbow has its own: leave it out")
        else:
            for name, default in (("ink", 0 if classic else 255), ("paper", 255 if classic else 0)):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, default)
                rules.integer(f"render.{name}", getattr(self, name), 0, 255)
            rules.need(self.ink != self.paper, "render.ink", f"must differ from paper, both are {self.ink}")
        rules.check()
        make_floats(self, "line_width_px")

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 3 if self.encoding in ("rainbow", "thirds") else 1

    @property
    def paper_pixel(self) -> bytes:
        """The values of one pixel of paper, channel by channel (classic rainbow draws on white)."""
        return bytes([255 if self.paper is None else self.paper] * self.channels)


@dataclass(frozen=True)
class Erase:
    """Random erasing of one rectangle (Zhong et al. 2017, arXiv 1708.04896).

    Args:
        probability: Of a rectangle at all, 0 to 1.
        area: Its share of the picture's area, a pair within 0.001 to 1.
        aspect: Its height over its width, a pair within 0.05 to 20.
        fill: `random` (one value for all pixels and channels), `paper`, or `value`.
        value: The value for `fill="value"`, 0 to 255.

    Raises:
        InvalidPipeline: A setting breaks its rule.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.3, 3.0)
    fill: str = "random"
    value: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        rules = Rules()
        rules.number("augment.erase.probability", self.probability, 0, 1)
        rules.interval("augment.erase.area", self.area, 0.001, 1)
        rules.interval("augment.erase.aspect", self.aspect, 0.05, 20)
        rules.choice("augment.erase.fill", self.fill, FILLS)
        if self.fill == "value":
            rules.integer("augment.erase.value", self.value, 0, 255)
        else:
            rules.need(self.value is None, "augment.erase.value", 'needs fill="value": leave it out')
        rules.check()
        make_floats(self, "probability", "area", "aspect")


@dataclass(frozen=True)
class Augment:
    """How samples are varied, each operation by random numbers of its own; the defaults do nothing.

    Args:
        rotate_deg: About the centre, uniform in -rotate_deg..rotate_deg degrees, 0 to 180.
        shift: Per axis, uniform in -shift..shift of the side, 0 to 1.
        shear: Per axis, uniform in -shear..shear (tangent of the angle), 0 to 1.
        scale: Magnification, uniform and per axis, a pair within 0.1 to 10.
        zoom: Magnification, uniform, one factor for both axes, a pair within 0.1 to 10.
        flip_horizontal: Probability of a mirror image left to right, 0 to 1.
        flip_vertical: Probability of a mirror image top to bottom, 0 to 1.
        stroke_dropout: Probability with which each stroke is left out, 0 to below 1; one always stays.
        jitter: Of each point per axis, uniform in -jitter..jitter of the side, 0 to 0.5.
        line_width: Factor on the width of a drawing's lines, a pair within 0.25 to 4. Antialiased only.
        crop: Drawn with a side of round(size / (1 - crop)), then a random window of `size` is cut out, 0 to 0.5.
        erase: Random erasing, or None.

    Raises:
        InvalidPipeline: A setting breaks its rule.
    """

    rotate_deg: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    zoom: tuple[float, float] = (1.0, 1.0)
    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    stroke_dropout: float = 0.0
    jitter: float = 0.0
    line_width: tuple[float, float] = (1.0, 1.0)
    crop: float = 0.0
    erase: Erase | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        rules = Rules()
        rules.number("augment.rotate_deg", self.rotate_deg, 0, 180)
        rules.number("augment.shift", self.shift, 0, 1)
        rules.number("augment.shear", self.shear, 0, 1)
        rules.interval("augment.scale", self.scale, 0.1, 10)
        rules.interval("augment.zoom", self.zoom, 0.1, 10)
        rules.number("augment.flip_horizontal", self.flip_horizontal, 0, 1)
        rules.number("augment.flip_vertical", self.flip_vertical, 0, 1)
        rules.number("augment.stroke_dropout", self.stroke_dropout, 0, 1, below=True)
        rules.number("augment.jitter", self.jitter, 0, 0.5)
        rules.interval("augment.line_width", self.line_width, 0.25, 4)
        rules.number("augment.crop", self.crop, 0, 0.5)
        rules.need(
            self.erase is None or isinstance(self.erase, Erase),
            "augment.erase",
            f"must be an Erase or None, got {self.erase!r}",
        )
        rules.check()
        make_floats(self, *(field.name for field in fields(self) if field.name != "erase"))


@dataclass(frozen=True)
class Filter:
    """Which samples of a split pass; all conditions hold together, and an unknown attribute passes none.

    Args:
        classes: Class names of the dataset; None lets all pass. Labels are never renumbered.
        countries: Two-letter country codes; None lets all pass.
        recognized: Only drawings that the game recognized (True) or did not (False); None lets both pass.

    Raises:
        InvalidPipeline: A setting breaks its rule.
    """

    classes: tuple[str, ...] | None = None
    countries: tuple[str, ...] | None = None
    recognized: bool | None = None

    def __post_init__(self) -> None:
        rules = Rules()
        self._sort_names("classes", MAX_FILTER_CLASSES, rules)
        self._sort_names("countries", MAX_FILTER_COUNTRIES, rules)
        for country in self.countries or ():
            rule = f"must be two ASCII letters or digits, got {country!r}"
            rules.need(bool(re.fullmatch(r"[0-9A-Za-z]{2}", country)), "filter.countries", rule)
        if self.recognized is not None:
            rules.flag("filter.recognized", self.recognized)
        rules.violations = rules.violations[:8]  # a list of bad names must not outgrow an error's 4 KiB
        rules.check()

    def _sort_names(self, field: str, limit: int, rules: Rules) -> None:
        names: object = getattr(self, field)
        if names is None:
            return
        listed = () if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)
        if not listed or not all(isinstance(name, str) and name for name in listed):
            rules.need(False, f"filter.{field}", "must be a list of at least one name, or be left out")
            listed = ()
        rules.need(len(listed) <= limit, f"filter.{field}", f"must be at most {limit:,} names, got {len(listed):,}")
        object.__setattr__(self, field, tuple(sorted(set(listed))))


@dataclass(frozen=True)
class Pipeline:
    """Everything that decides what a batch holds, besides the data, the renderer and the position.

    Args:
        dataset: Name on the server.
        split: `train`, `validation` or `all`.
        batch_size: Rows of the global batch, all shards together, 1 to 65,536.
        seed: Chooses the order and every random number, 0 to 2**64 - 1.
        render: How samples become pictures.
        augment: How samples are varied; None (the same as `Augment()`) not at all.
        validation: Share of the samples in the validation split, 0 to below 1.
        remainder: What becomes of an incomplete last batch: `short`, `pad` or `drop`.
        shuffle: An order of its own for each epoch, or dataset order.
        filter: Which samples pass; None (the same as `Filter()`) all.
        class_balanced: Whether an epoch, as long as without it, has all classes equally often: those of few samples
            repeat them, those of many leave some for the next epoch. Samples without a label are left out.

    Raises:
        InvalidPipeline: A setting breaks its rule.
    """

    dataset: str
    batch_size: int
    split: str = "train"
    seed: int = 0
    render: Render = Render()
    augment: Augment | None = None
    validation: float = 0.005
    remainder: str = "short"
    shuffle: bool = True
    filter: Filter | None = None
    class_balanced: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        rules = Rules()
        named = isinstance(self.dataset, str) and bool(self.dataset)
        rules.need(named, "dataset", f"must be the name of a dataset, got {self.dataset!r}")
        rules.integer("batch_size", self.batch_size, 1, MAX_BATCH_SIZE)
        rules.choice("split", self.split, SPLITS)
        rules.integer("seed", self.seed, 0, 2**64 - 1)
        rules.need(isinstance(self.render, Render), "render", f"must be a Render, got {self.render!r}")
        rules.number("validation", self.validation, 0, 1, below=True)
        rules.choice("remainder", self.remainder, REMAINDERS)
        rules.flag("shuffle", self.shuffle)
        rules.flag("class_balanced", self.class_balanced)
        rule = "has an order of its own for each epoch: leave shuffle=False out"
        rules.need(self.shuffle or not self.class_balanced, "class_balanced", rule)
        augment, only = self.augment, self.filter
        rules.need(augment is None or isinstance(augment, Augment), "augment", f"must be an Augment, got {augment!r}")
        rules.need(only is None or isinstance(only, Filter), "filter", f"must be a Filter, got {only!r}")
        if isinstance(augment, Augment) and isinstance(self.render, Render) and self.render.style == "classic":
            rule = "classic has lines of 3 px: leave it out"
            rules.need(augment.line_width == (1.0, 1.0), "augment.line_width", rule)
        rules.check()
        make_floats(self, "validation")
        if augment == Augment():
            object.__setattr__(self, "augment", None)
        if only == Filter():
            object.__setattr__(self, "filter", None)

    def replace(self, **changes: object) -> "Pipeline":
        """A copy with other settings: `pipeline.replace(split="validation", augment=None)`."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]
