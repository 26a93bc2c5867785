"""Options that several subcommands share, and what they mean as settings."""

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any, TypeAlias

import xxhash

from inkstream import TLS
from inkstream.compression import COMPRESSIONS, DEFAULT_COMPRESSION
from inkstream.pipeline import ENCODINGS, SPLITS, STYLES, Augment, Erase, Filter, Pipeline, Render
from trainer.commands.checking import checked
from trainer.hosts.cluster import DEFAULT_SILENCE_S, Cluster, cluster_of
from trainer.prediction.views import Views
from trainer.service import Service
from trainer.settings import MODELS, NORMALIZATIONS, ModelSettings
from trainer.weights.sources import source_of

Options: TypeAlias = argparse._ActionsContainer  # a parser or one of its groups

DEVICES_HELP = (
    "all; how many (2); which, by number (0,2 or 1,); cpu, one CPU device that uses every core; cpu:N, the processor "
    "as N devices, for trying out several"
)

RUN_HELP = "the folder that `trainer fit --out` wrote, or one of RUN/models"
CHECKPOINT_HELP = "best (by its --monitor), last, average (of `trainer average`), or a step's number"

SERVER_HELP = "host:port of each batch server, or dns:///name:port for all that the name resolves to"


def add_server(parser: Options) -> None:
    """`--server`, `--dataset`, `--devices`, how pictures travel, and how servers are known."""
    parser.add_argument("--server", nargs="+", required=True, metavar="ADDRESS", help=SERVER_HELP)
    parser.add_argument("--dataset", required=True, metavar="NAME", help="its name on the servers")
    parser.add_argument("--devices", default="all", help=DEVICES_HELP)
    parser.add_argument(
        "--compression",
        default=DEFAULT_COMPRESSION,
        choices=tuple(COMPRESSIONS),
        help="how pictures travel: zstd takes half the bytes of sparse and more work of the servers, for slow links",
    )
    group = parser.add_argument_group(
        "security", "Any --tls option turns on TLS. Files are read again when they change."
    )
    group.add_argument(
        "--tls-ca", metavar="FILE", help="certificates of the servers' authorities; this machine's if not given"
    )
    group.add_argument("--tls-cert", metavar="FILE", help="this trainer's certificate, where servers ask for one")
    group.add_argument("--tls-key", metavar="FILE", help="its private key")
    group.add_argument(
        "--tls-server-name", metavar="NAME", help="name in the servers' certificate; that of the address if not given"
    )
    group.add_argument("--token-file", type=Path, metavar="FILE", help="holds the bearer token, where servers want one")


def service(options: argparse.Namespace) -> Service:
    """The batch servers that `add_server` declared."""
    tls = TLS(options.tls_ca, options.tls_cert, options.tls_key, options.tls_server_name)
    return Service(options.server, tls if tls != TLS() else None, options.token_file, options.compression)


def add_model_of_run(parser: Options) -> None:
    """The model that is used: a run, and which of its checkpoints."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help=RUN_HELP)
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help=CHECKPOINT_HELP)


def add_models(parser: Options) -> None:
    """The models that are used together: runs, checkpoints of each, and what they are shown."""
    parser.add_argument(
        "run_folders",
        nargs="+",
        type=Path,
        metavar="RUN",
        help=f"{RUN_HELP}; of several, the probabilities are averaged",
    )
    parser.add_argument(
        "--checkpoint",
        nargs="+",
        default=["best"],
        metavar="WHICH",
        help=f"{CHECKPOINT_HELP}; of several, the probabilities are averaged",
    )
    group = parser.add_argument_group(
        "test-time augmentation", "Each sample is shown in several views, and the probabilities are averaged."
    )
    group.add_argument(
        "--tta",
        type=int,
        default=Views.passes,
        metavar="N",
        help="besides the plain pictures, N further passes in which they are varied as in training",
    )
    group.add_argument(
        "--tta-flip",
        action="store_true",
        help="each picture also as its mirror image, left to right; helps where the training had --flip-horizontal",
    )
    group.add_argument(
        "--tta-stroke-dropout",
        type=float,
        metavar="P",
        help="in the further passes, only leave out each stroke with this probability",
    )


def views(options: argparse.Namespace) -> Views:
    """What the models of `add_models` are shown."""
    return checked(lambda: Views(passes=options.tta, flip=options.tta_flip, stroke_dropout=options.tta_stroke_dropout))


def add_classes(parser: Options, otherwise: str = "all") -> None:
    """`--classes`; `otherwise` says which are used without it."""
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help=f"use only these classes; {otherwise} if not given"
    )


def add_alpha(parser: Options) -> None:
    """`--alpha`."""
    parser.add_argument("--alpha", type=float, default=ModelSettings.alpha, help="width multiplier of MobileNet")


def add_model(parser: Options) -> None:
    """Which model."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", default=ModelSettings.name, choices=MODELS, help="see `trainer models`")
    add_alpha(group)
    group.add_argument("--dropout", type=float, default=ModelSettings.dropout, help="before each layer of the head")
    group.add_argument(
        "--head-hidden", type=int, nargs="+", default=[], metavar="N", help="features of hidden layers before the last"
    )
    group.add_argument(
        "--normalize",
        choices=tuple(NORMALIZATIONS),
        help="range of the pixels that the model sees, or ImageNet's mean and deviation; if not given, what --weights "
        f"expect, or {ModelSettings.normalize}",
    )
    group.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="begin with these, .weights.h5 of Keras or .safetensors of PyTorch or timm; not needed to resume a run",
    )


def model_settings(options: argparse.Namespace) -> ModelSettings:
    """What `add_model` declared."""
    weights = options.weights
    expected = ModelSettings.normalize if weights is None else source_of(options.model, weights).normalize
    return checked(
        lambda: ModelSettings(
            name=options.model,
            alpha=options.alpha,
            dropout=options.dropout,
            normalize=options.normalize or expected,
            head_hidden=tuple(options.head_hidden),
            weights=None if weights is None else str(weights.absolute()),  # --config and --resume know no other folder
            weights_digest=None if weights is None else _digest(weights),
        )
    )


def add_cluster(parser: Options) -> None:
    """Which processes train together."""
    group = parser.add_argument_group(
        "several processes",
        "Usually one on each host. They share every batch, and are started with the same options but for --process-id.",
    )
    group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 waits for the others; Slurm's srun sets it"
    )
    group.add_argument("--processes", type=int, metavar="N", help="how many there are; Slurm's srun sets it")
    group.add_argument(
        "--process-id", type=int, metavar="I", help="0 to N - 1; srun and Kubernetes' indexed jobs set it"
    )
    group.add_argument(
        "--peer-timeout",
        type=float,
        default=DEFAULT_SILENCE_S,
        metavar="SECONDS",
        help="end when a process is not heard of for so long",
    )


def cluster(options: argparse.Namespace) -> Cluster | None:
    """What `add_cluster` declared, and the environment says."""
    return cluster_of(
        options.coordinator, options.processes, options.process_id, options.peer_timeout, environ=os.environ
    )


def add_pipeline(parser: Options) -> None:
    """What batches hold."""
    data = parser.add_argument_group("data")
    data.add_argument("--batch-size", type=int, default=32, help="of the global batch, all devices together")
    data.add_argument("--validation", type=float, default=Pipeline.validation, help="share of the validation split")
    data.add_argument("--seed", type=int, default=Pipeline.seed, help="of all that is random, in data and model")
    add_classes(data)
    data.add_argument("--countries", nargs="+", metavar="CODE", help="only these countries; all if not given")
    data.add_argument(
        "--recognized",
        default="any",
        choices=("any", "yes", "no"),
        help="only drawings that the game recognized, or did not",
    )
    data.add_argument(
        "--class-balanced",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="train on all classes equally often: those with few samples repeat them, varied anew",
    )

    render = parser.add_argument_group("pictures")
    render.add_argument("--size", type=int, default=Render.size, help="side in pixels")
    render.add_argument("--encoding", default=Render.encoding, choices=ENCODINGS, help="how strokes become colours")
    render.add_argument("--style", default=Render.style, choices=STYLES, help="how lines are drawn")
    render.add_argument("--line-width-px", type=float, help="2 if not given; antialiased only")

    augment = parser.add_argument_group("augmentation", "Of the training split only; the defaults do nothing.")
    number: dict[str, Any] = {"type": float}
    pair: dict[str, Any] = {"type": float, "nargs": 2, "metavar": ("LOW", "HIGH")}
    for name, kind, text in (
        ("rotate-deg", number, "up to so many degrees either way"),
        ("shift", number, "per axis, up to this share of the side"),
        ("shear", number, "per axis, up to this tangent"),
        ("scale", pair, "magnification, for each axis"),
        ("zoom", pair, "magnification of both axes"),
        ("flip-horizontal", number, "probability of a mirror image, left to right"),
        ("flip-vertical", number, "probability of a mirror image, top to bottom"),
        ("stroke-dropout", number, "probability with which each stroke is left out"),
        ("jitter", number, "of each point, up to this share of the side"),
        ("line-width", pair, "factor on the width of lines; antialiased only"),
        ("crop", number, "draw larger by 1 / (1 - this) and cut out a window at random"),
    ):
        default = getattr(Augment, name.replace("-", "_"))
        augment.add_argument(f"--{name}", default=default, help=text, **kind)
    augment.add_argument("--erase", type=float, default=0.0, help="probability that a rectangle is erased")
    for name, text in (("area", "its share of the picture"), ("aspect", "its height over its width")):
        default = getattr(Erase, name)
        augment.add_argument(f"--erase-{name}", default=default, help=text, **pair)
    augment.add_argument("--erase-fill", default=Erase.fill, metavar="FILL", help="random, paper, or a value 0 to 255")


def pipeline(options: argparse.Namespace) -> Pipeline:
    """The training pipeline that `add_pipeline` declared."""
    return Pipeline(
        dataset=options.dataset,
        batch_size=options.batch_size,
        seed=options.seed,
        validation=options.validation,
        remainder="pad",  # devices get equal shares of every batch
        class_balanced=options.class_balanced,
        render=Render(
            size=options.size,
            encoding=options.encoding,
            style=options.style,
            line_width_px=options.line_width_px,
        ),
        augment=Augment(
            rotate_deg=options.rotate_deg,
            shift=options.shift,
            shear=options.shear,
            scale=tuple(options.scale),
            zoom=tuple(options.zoom),
            flip_horizontal=options.flip_horizontal,
            flip_vertical=options.flip_vertical,
            stroke_dropout=options.stroke_dropout,
            jitter=options.jitter,
            line_width=tuple(options.line_width),
            crop=options.crop,
            erase=_erase(options),
        ),
        filter=Filter(
            classes=options.classes,
            countries=options.countries,
            recognized={"any": None, "yes": True, "no": False}[options.recognized],
        ),
    )


def add_split(parser: Options, default: str) -> None:
    """`--split` and `--batch-size`, for a model that is trained."""
    parser.add_argument("--split", default=default, choices=SPLITS, help="which samples")
    parser.add_argument("--batch-size", type=int, help="as in training if not given")


def _digest(path: Path) -> str | None:
    """Equal files, equal digest; None where there is none that can be read, which a run that goes on does not need."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, xxhash.xxh3_64).hexdigest()
    except OSError:
        return None


def _erase(options: argparse.Namespace) -> Erase | None:
    if not options.erase:
        return None
    fill, value = options.erase_fill, None
    if fill.isascii() and fill.isdigit():
        fill, value = "value", int(fill)
    return Erase(options.erase, tuple(options.erase_area), tuple(options.erase_aspect), fill, value)
