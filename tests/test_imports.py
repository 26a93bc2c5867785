"""Each part of the project imports only what its environment holds."""

import importlib
import subprocess
import sys

import pytest

import inkstream

CLIENT = ("grpc", "google.protobuf", "google.rpc.status_pb2", "numpy", "xxhash")
SERVER_NEVER = {"jax", "jaxlib", "flax", "optax", "orbax", "matplotlib", "trainer"}
TRAINER_NEVER = {"cv2", "isal", "lmdb", "numba", "llvmlite", "orjson", "batch_server"}


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_client_needs_only_its_few_dependencies() -> None:
    # grpc loads its add-ons where they are installed: what the dependencies load by themselves is no fault of ours.
    theirs = modules_after(f"import {', '.join(CLIENT)}")
    ours = modules_after("import inkstream.public") - theirs - set(sys.stdlib_module_names)
    assert ours == {"inkstream"}


@pytest.mark.parametrize("framework", ["torch", "keras", "tensorflow"])
def test_an_adapter_without_its_framework_says_what_to_install(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith((f"{framework}.", f"inkstream.{framework}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, framework, None)  # type: ignore[arg-type]  # which makes its import fail
    with pytest.raises(inkstream.MissingFramework, match=f"pip install .*{framework}"):
        importlib.import_module(f"inkstream.{framework}")


def test_an_import_starts_without_what_serving_needs() -> None:
    loaded = modules_after("from batch_server.commands import import_drawings")
    assert "numba" in loaded
    assert not loaded & {"cv2", "grpc", "google", "asyncio", "prometheus_client", "rich"}


@pytest.mark.parametrize(("half", "never"), [("batch_server", SERVER_NEVER), ("trainer", TRAINER_NEVER)])
def test_halves_stay_apart(half: str, never: set[str]) -> None:
    loaded = modules_after(
        f"from {half}.cli import COMMAND\nfrom inkstream.command_line import build_parser\nbuild_parser(COMMAND)"
    )
    assert not loaded & never


@pytest.mark.parametrize(("half", "never"), [("batch_server", SERVER_NEVER), ("trainer", TRAINER_NEVER)])
def test_halves_work_where_the_other_libraries_are_not_installed(half: str, never: set[str]) -> None:
    block = f"sys.modules.update(dict.fromkeys({sorted(never)!r}))"  # None in sys.modules makes an import fail
    walk = (
        f"import {half}, importlib, pkgutil\n"
        f"for module in pkgutil.walk_packages({half}.__path__, '{half}.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)"
    )
    assert half in modules_after(f"{block}\n{walk}")
