"""`trainer fit`: train a model."""

import argparse
from functools import partial
from pathlib import Path

from inkstream.command_line import Subcommands, leaving_at_once
from inkstream.listening import parse_listen_address
from trainer.commands import arguments, config
from trainer.commands import optimization as training
from trainer.commands.checking import naming_options

EXAMPLES = """\
examples:
  trainer fit --server localhost:50051 --dataset doodles --model cnn --out runs/first
  trainer fit --server a:50051 b:50051 --dataset doodles --model mobilenet_v1 --alpha 0.5 --size 96 \\
      --batch-size 256 --rotate-deg 10 --shift 0.05 --scale 0.9 1.1 --stroke-dropout 0.05 --out runs/second
  The same command with --resume goes on with a run that was stopped, bit for bit as if it had not been.
  trainer fit --config runs/first/config.json --out runs/again
  repeats a run, bit for bit; any other option changes that setting.

  On two machines, the same command with its own number on each:
  trainer fit ... --coordinator a.example:4400 --processes 2 --process-id 0

exit codes: 0 done, 1 failed, 2 wrong usage, 130 after Ctrl-C, 143 after SIGTERM (both with a checkpoint, and in every
process, whichever of them got the signal)
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "fit", help="train a model", description="Trains a model on batches from batch servers.", epilog=EXAMPLES
    )
    arguments.add_server(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder for the run; of several processes, only process 0 uses it",
    )
    config.add_config(parser)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in RUN, if any")
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="where to show figures for Prometheus, at /metrics; off unless given, port 0 picks a free one",
    )
    parser.add_argument(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also write event files for TensorBoard, in RUN/tensorboard",
    )
    arguments.add_model(parser)
    training.add_optimization(parser)
    training.add_cadence(parser)
    arguments.add_pipeline(parser)
    arguments.add_cluster(parser)
    parser.set_defaults(run=partial(run, parser))


@naming_options()
def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Trains."""
    pipeline = arguments.pipeline(options)
    model, (optimization, sample_weights) = arguments.model_settings(options), training.optimization(options)
    cadence = training.cadence(options)
    metrics = parse_listen_address("--metrics", options.metrics) if options.metrics else None
    cluster = arguments.cluster(options)
    with leaving_at_once():
        from trainer.fit import FitRequest, fit  # JAX takes seconds to import, a mistake is told at once

    return fit(
        FitRequest(
            service=arguments.service(options),
            pipeline=pipeline,
            model=model,
            optimization=optimization,
            sample_weights=sample_weights,
            cadence=cadence,
            out=options.out,
            devices=options.devices,
            resume=options.resume,
            metrics=metrics,
            tensorboard=options.tensorboard,
            cluster=cluster,
            asked=config.asked(options, parser),
            repeats=config.configuration(options),
        )
    )
