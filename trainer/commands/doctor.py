"""`trainer doctor`: who waits for whom in a training, and what to change."""

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from inkstream.command_line import Subcommands, UsageError, leaving_at_once
from inkstream.diagnosis import Diagnosis, megabytes
from trainer.commands import arguments
from trainer.commands import optimization as training
from trainer.commands.checking import naming_options

if TYPE_CHECKING:
    from trainer.doctor.diagnosis import Figures, StreamFigures

_MOST_SECONDS = 600.0

EXAMPLES = """\
It measures the stream from the servers into this process, the training step on a batch that stays on the devices, and
both together as `trainer fit` does. Nothing is written. What limits is one of
  device    nothing is wrong with the input
  servers   they deliver less than the device takes: more of them, or what `batch-server doctor` says on their machine
  wire      the link between is full
  client    this process decodes as fast as it can, or its processors are taken

examples:
  trainer doctor --server localhost:50051 --dataset doodles --model cnn --batch-size 256
  trainer doctor --server dns:///batch-server:50051 --dataset doodles --model mobilenet_v1 --batch-size 256 \\
      --rotate-deg 10 --shift 0.05 --scale 0.9 1.1 --stroke-dropout 0.05 --json
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "doctor",
        help="measure who waits for whom, and what limits",
        description="Measures a training for ten seconds, and says what limits it: the device, this process, the link "
        "or the servers.",
        epilog=EXAMPLES,
    )
    arguments.add_server(parser)
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="how long to measure; compiling comes on top"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    arguments.add_model(parser)
    training.add_optimization(parser)
    arguments.add_pipeline(parser)
    parser.set_defaults(run=run)


@naming_options()
def run(options: argparse.Namespace) -> None:
    """Prints figures and what limits."""
    if not 0.1 <= options.seconds <= _MOST_SECONDS:
        raise UsageError(f"--seconds must be from 0.1 to {_MOST_SECONDS:g}, got {options.seconds:g}")
    pipeline = arguments.pipeline(options)
    model, (optimization, _) = arguments.model_settings(options), training.optimization(options)
    service = arguments.service(options)
    service.check(options.dataset)
    with leaving_at_once():
        from trainer.doctor.diagnosis import diagnose  # JAX takes seconds to import
        from trainer.doctor.measuring import DoctorRequest, measure

    def say(text: str) -> None:
        if not options.json:
            print(text, file=sys.stderr, flush=True)

    figures = measure(
        DoctorRequest(
            service=service,
            pipeline=pipeline,
            model=model,
            optimization=optimization,
            devices=options.devices,
            seconds=options.seconds,
        ),
        say,
    )
    diagnosis = diagnose(figures)
    if options.json:
        print(json.dumps({**diagnosis._asdict(), "figures": dataclasses.asdict(figures)}, indent=2))
    else:
        print(_text(figures, diagnosis))


def _text(figures: "Figures", diagnosis: Diagnosis) -> str:
    def stream(name: str, each: "StreamFigures") -> str:
        return (
            f"{name:28} {each.rows_per_s:9,.0f}  {megabytes(each.wire_bytes_per_s)}, {each.wire_bytes:,.0f} bytes "
            f"each; readers wait for servers {each.waiting:.0%} of their time; {each.own_cores:.1f} processors here"
        )

    return "\n".join(
        [
            f"{'':28} drawings/s",
            stream("stream alone", figures.stream),
            stream("stream alone, uncompressed", figures.uncompressed),
            f"{'step alone':28} {figures.resident.rows_per_s:9,.0f}  {1e3 * figures.resident.step_s:,.1f} ms a step",
            f"{'both together':28} {figures.fed.rows_per_s:9,.0f}  {1e3 * figures.fed.step_s:,.1f} ms a step, of which "
            f"{figures.fed.waiting:.1%} waiting for data",
            f"A call to a server and back takes {1e3 * figures.round_trip_s:.1f} ms.",
            "",
            diagnosis.as_text(),
        ]
    )
