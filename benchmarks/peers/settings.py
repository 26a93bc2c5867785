"""What is compared: each way to get batches, in the settings among which its users would choose."""

import sys
from pathlib import Path
from typing import NamedTuple

from deploy.pinned_environment import ROOT

PINS = ROOT / "requirements" / "peers.txt"

SPARSE = "Inkstream, sparse words"
NONE = "Inkstream, no compression"
DATALOADER = "PyTorch DataLoader"
KERNEL = "Inkstream's kernels alone, in threads"

_PROGRAMS = Path(__file__).with_name("programs")


class Setting(NamedTuple):
    """One way to get batches, set in one way.

    Attributes:
        way: What people call it.
        setting: How it is set; empty where there is nothing to choose.
        command: Prints the rate.
    """

    way: str
    setting: str
    command: tuple[str, ...]


def settings(python: Path, drawings: Path, dataset: Path, address: str, seed: int) -> list[Setting]:
    """Everything that is compared.

    Args:
        python: The peers'.
        drawings: As JSON.
        dataset: The same drawings, as Inkstream keeps them.
        address: Of the server that serves them.
        seed: This and the next one were not asked of that server, so it has nothing in its cache.
    """

    def program(name: str, *arguments: object, interpreter: Path = python) -> tuple[str, ...]:
        return (str(interpreter), str(_PROGRAMS / name), *map(str, arguments))

    workers = [(f"{n} worker{'s' if n > 1 else ''}", n) for n in (1, 2, 3)]
    return [
        Setting(SPARSE, "", program("inkstream_client.py", address, dataset.stem, seed, "sparse")),
        Setting(NONE, "", program("inkstream_client.py", address, dataset.stem, seed + 1, "none")),
        *(Setting(DATALOADER, text, program("torch_dataloader.py", drawings, n)) for text, n in workers),
        *(Setting("Grain", text, program("grain_loader.py", drawings, n)) for text, n in workers),
        Setting("The same loop in the process itself", "", program("in_process.py", drawings)),
        Setting("tf.data", "AUTOTUNE", program("tf_data.py", drawings)),
        Setting("tf.data service", "no compression", program("tf_data_service.py", drawings, "none")),
        Setting("tf.data service", "compression AUTO", program("tf_data_service.py", drawings, "auto")),
        Setting(KERNEL, "", program("kernel_alone.py", dataset, interpreter=Path(sys.executable))),
    ]
