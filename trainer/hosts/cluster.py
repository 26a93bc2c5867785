"""Which processes train together: from options, from Kubernetes' indexed jobs, from Slurm."""

from collections.abc import Mapping
from dataclasses import dataclass

from inkstream.command_line import UsageError

MAX_PROCESSES = 4096
DEFAULT_SILENCE_S, MIN_SILENCE_S, MAX_SILENCE_S = 30.0, 5.0, 3600.0
# Where Slurm's jobs meet: a port that follows from the job's id, as JAX picks it, so that jobs on one host differ.
_SLURM_FIRST_PORT, _SLURM_PORTS = 61_440, 4_096


@dataclass(frozen=True)
class Cluster:
    """The processes of one training, and which of them this is.

    Args:
        host: Of process 0, as the others reach it.
        port: On which process 0 waits for the others.
        processes: How many there are, at least 2.
        process: This one's number, 0 to processes - 1.
        silence_s: A process that is not heard of for so long counts as frozen.
    """

    host: str
    port: int
    processes: int
    process: int
    silence_s: float


def cluster_of(
    coordinator: str | None,
    processes: int | None,
    process_id: int | None,
    silence_s: float,
    environ: Mapping[str, str],
) -> Cluster | None:
    """The cluster that is asked for; None where a single process trains alone.

    What is not given is taken from the environment: of a Slurm step (`srun`) everything, and of a Kubernetes indexed
    job the number of this process. Neither a Slurm allocation without a step nor an indexed job alone makes a cluster:
    both are also used for trainings that have nothing to do with each other.

    Args:
        coordinator: `HOST:PORT` of process 0.
        processes: How many there are; 1 means alone, whatever else says.
        process_id: This one's number.
        silence_s: See `Cluster`.
        environ: Environment variables.

    Raises:
        UsageError: Something is missing or contradicts the rest.
    """
    if coordinator is None and processes is None and process_id is None and _slurm_tasks(environ) < 2:
        return None
    if not MIN_SILENCE_S <= silence_s <= MAX_SILENCE_S:
        raise UsageError(
            f"--peer-timeout must be from {MIN_SILENCE_S:g} to {MAX_SILENCE_S:,g} seconds, got {silence_s:g}"
        )
    if processes is None:
        processes = _slurm_tasks(environ)
    if not 1 <= processes <= MAX_PROCESSES:
        raise UsageError(
            f"--processes must be a whole number from 1 to {MAX_PROCESSES:,}, and is needed with --coordinator or "
            f"--process-id unless srun started this process, got {processes}"
        )
    if processes == 1:
        if process_id:
            raise UsageError(f"--process-id must be below --processes, got {process_id} of 1")
        return None
    if process_id is None:
        process_id = _whole(environ, "JOB_COMPLETION_INDEX", "SLURM_PROCID")
    if process_id is None:
        raise UsageError(
            f"--processes {processes} needs --process-id, 0 to {processes - 1} and another one for each process "
            "(a Kubernetes indexed job and srun set it)"
        )
    if not 0 <= process_id < processes:
        raise UsageError(
            f"--process-id must be from 0 to {processes - 1}, as --processes is {processes}, got {process_id}"
        )
    coordinator = coordinator or _slurm_coordinator(environ)
    if coordinator is None:
        raise UsageError(
            f"--processes {processes} needs --coordinator HOST:PORT, the address of process 0 as the others reach it"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise UsageError(f"--coordinator must be HOST:PORT with a port from 1 to 65535, got {coordinator!r}")
    return Cluster(host.strip("[]"), int(port), processes, process_id, silence_s)


def _slurm_tasks(environ: Mapping[str, str]) -> int:
    """How many processes srun has started; 0 without it. A batch script alone has no step's variables."""
    return _whole(environ, "SLURM_STEP_NUM_TASKS") or 0


def _slurm_coordinator(environ: Mapping[str, str]) -> str | None:
    nodes, job = environ.get("SLURM_STEP_NODELIST"), _whole(environ, "SLURM_JOB_ID")
    if not nodes or job is None:
        return None
    return f"{first_node(nodes)}:{_SLURM_FIRST_PORT + job % _SLURM_PORTS}"


def first_node(nodes: str) -> str:
    """The first host of Slurm's list: `node007` of `node[007-010,020],login1`."""
    prefix, bracket, rest = nodes.partition("[")
    if not bracket or "," in prefix:
        return prefix.split(",", 1)[0]
    numbers, _, after = rest.partition("]")
    return prefix + numbers.split(",", 1)[0].split("-", 1)[0] + after.split(",", 1)[0]


def _whole(environ: Mapping[str, str], *names: str) -> int | None:
    """The first of these variables that is set."""
    for name in names:
        text = environ.get(name)
        if text:
            if not text.isascii() or not text.isdigit():
                raise UsageError(f"{name} must be a whole number, got {text!r}")
            return int(text)
    return None
