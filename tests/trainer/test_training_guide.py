"""Every command in docs/training.md runs, on tiny settings; those of docs/schedules.md are understood."""

import re
import shlex
from pathlib import Path

from inkstream.command_line import build_parser
from trainer.cli import COMMAND, main
from trainer.hosts.cluster import Cluster, cluster_of
from trainer.models import MODELS

DOCS = Path(__file__).parents[2] / "docs"
GUIDE, SCHEDULES = DOCS / "training.md", DOCS / "schedules.md"
# The drawings that the game did not recognize are a tenth of all; of the models the perceptron compiles fastest.
TINY = "--model mlp --epochs 1 --eval-every 2 --batch-size 64 --recognized no --validation 0.2 --size 16".split()
TINY += ["--encoding", "gray"]


def commands(page):
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").strip().splitlines()


def shown(language):
    for block in re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield block.replace("\\\n", " ").strip()


def test_the_commands_for_several_hosts_say_who_trains_together():
    lines = [line for block in shown("console") for line in block.splitlines()]
    found = []
    for line in lines:
        _, _, words = line.partition("trainer ")
        options = build_parser(COMMAND).parse_args(shlex.split(words))
        in_a_step = {
            "SLURM_STEP_NUM_TASKS": "4",
            "SLURM_PROCID": "3",
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_NODELIST": "n[1-4]",
        }
        found.append(
            cluster_of(
                options.coordinator,
                options.processes,
                options.process_id,
                options.peer_timeout,
                in_a_step if "srun" in line else {},
            )
        )
    assert [(each.host, each.processes, each.process) for each in found] == [("a", 2, 0), ("a", 2, 1), ("n1", 4, 3)]


def test_the_variables_of_the_guide_for_kubernetes_name_every_process(monkeypatch):
    (variables,) = shown("yaml")
    for name, value in re.findall(r'name: (\w+), value: "(.*?)"', variables):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    asked = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: asked.append(request) or 0)
    assert main(["fit", "--server", "s:1", "--dataset", "scribbles", "--out", "run"]) == 0
    (request,) = asked
    assert request.cluster == Cluster("fit-0.fit", 4400, 4, 2, 30.0) and request.resume


def test_the_commands_of_the_guide_run(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # `trainer models` measures every model, which tests of its own wait for: here a few will do.
    monkeypatch.setattr("trainer.models.MODELS", {name: MODELS[name] for name in ("cnn", "mlp", "mobilenet_v1")})
    seen = set()
    for line in commands(GUIDE):
        program, subcommand, *rest = shlex.split(line)
        assert program == "trainer"
        words = [word.replace("localhost:50051", server.address).replace("doodles", "scribbles") for word in rest]
        if subcommand == "fit":
            words += TINY
        if subcommand not in ("models", "runs"):
            words += ["--devices", "cpu:2"]
        assert main([subcommand, *words]) == 0, line
        seen.add(subcommand)
    assert seen == {"fit", "models", "runs", "average", "evaluate"}


def test_the_commands_about_schedules_are_understood(monkeypatch):
    asked = []
    monkeypatch.setattr("trainer.fit.fit", lambda request: asked.append(request.optimization) or 0)
    for line in commands(SCHEDULES):
        assert main(shlex.split(line)[1:]) == 0
    steps, plateau = asked
    assert (steps.schedule, steps.milestones, steps.milestone_factor, steps.warmup) == ("step", (0.6, 0.85), 0.2, 100)
    assert (plateau.schedule, plateau.plateau_patience, plateau.early_stopping) == ("plateau", 3, 8)
