"""The committed code of the contract is what the generator makes of the .proto file."""

import itertools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "proto" / "inkstream" / "v1"


def test_generated_code_is_current(tmp_path: Path) -> None:
    outputs = [f"--{kind}={tmp_path}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    source = "proto/inkstream/v1/batch_service.proto"
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-Iproto", *outputs, source], cwd=ROOT, check=True)
    made = sorted((tmp_path / "inkstream" / "v1").iterdir())
    assert [path.name for path in made] == [
        "batch_service_pb2.py",
        "batch_service_pb2.pyi",
        "batch_service_pb2_grpc.py",
    ]
    for path in made:
        assert path.read_text() == (FOLDER / path.name).read_text(), f"{path.name} is stale: run make proto"


def test_every_field_says_what_it_means() -> None:
    lines = (FOLDER / "batch_service.proto").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        declares = line.strip().endswith(";") and "=" in line and not line.startswith("syntax")
        if declares:
            assert above.strip().startswith("//"), f"without a comment: {line.strip()}"
