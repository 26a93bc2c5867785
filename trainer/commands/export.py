"""`trainer export`: a trained model for other programs."""

import argparse
from pathlib import Path

from inkstream.command_line import Subcommands, UsageError, leaving_at_once
from trainer.commands import arguments

EXAMPLES = """\
examples:
  trainer export runs/first --out model.zip
  trainer export runs/first --checkpoint last --out model.safetensors

model.zip holds a function that JAX runs on CPU and CUDA without this program (pictures in, probabilities out) and a
description of the model; model.safetensors holds the weights by name, with the description as metadata.
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "export",
        help="write a trained model for other programs",
        description="Writes a trained model as a file that other programs use without this one.",
        epilog=EXAMPLES,
    )
    arguments.add_model_of_run(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the file to write, .zip or .safetensors"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Exports.

    Raises:
        UsageError: The file cannot be written where it is asked for, or there is no such checkpoint.
        Failure: The disk is full, or the run has no checkpoint.
    """
    out = options.out
    if out.suffix not in (".zip", ".safetensors"):
        raise UsageError(
            f"--out must end in .zip (a function that JAX runs) or .safetensors (weights by name), got {out}"
        )
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(f"--out must be a file in a folder that exists, got {out}: create the folder first")
    with leaving_at_once():
        from trainer.disk import writing_to
        from trainer.export import export  # JAX takes seconds to import
        from trainer.records.trained import load

    trained = load(options.run_folder, options.checkpoint)
    with writing_to(out, "and export again"):
        export(trained, out)
    print(f"the model of {trained.path}, checkpoint {trained.checkpoint}, is in {out}", flush=True)
