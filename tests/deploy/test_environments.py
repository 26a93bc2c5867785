"""The pinned files hold what each half needs, and nothing of the other half."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD = ["hatchling", "editables"]  # `make setup` builds without isolation
ADAPTERS = ["inkstream.keras", "inkstream.tensorflow", "inkstream.torch"]  # each needs its framework
FRAMEWORKS = ["torch", "keras", "tensorflow-cpu"]
ONLY_SERVER = {"lmdb", "llvmlite", "numba", "opencv-python-headless", "orjson"}
ONLY_TRAINER = {"flax", "jax", "jaxlib", "matplotlib", "optax", "orbax-checkpoint"}


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)  # type: ignore[misc]


def needed(extras: Iterable[str], more: Iterable[str] = ()) -> list[Requirement]:
    """What pyproject.toml asks for."""
    texts = [*more]
    for extra in extras:
        texts += PROJECT["dependencies"] if extra == "" else PROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("name", ["client", "server", "trainer", "cuda", "dev", "all", "frameworks", "peers"])
def test_only_names_and_versions_are_pinned(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    requirements = [Requirement(line) for line in text.splitlines()]
    assert text == "".join(f"{canonicalize_name(r.name)}{r.specifier}\n" for r in requirements)
    assert all([s.operator for s in r.specifier] == ["=="] and "*" not in str(r.specifier) for r in requirements)
    names = [r.name for r in requirements]
    assert names == sorted(set(names))


@pytest.mark.parametrize(
    ("name", "requirements"),
    [
        ("client", needed([""])),
        ("server", needed(["", "server"])),
        ("trainer", needed(["", "trainer"])),
        ("dev", needed(["dev"], BUILD)),
        ("all", needed(["", "server", "trainer", "zstd", "dev"], BUILD)),
    ],
)
def test_pins_are_what_the_extras_need_and_no_more(name: str, requirements: list[Requirement]) -> None:
    assert set(pins(name)) == {canonicalize_name(r.name) for r in closure(requirements)}


def test_the_frameworks_are_pinned_beside_all_the_rest() -> None:
    for name in FRAMEWORKS:
        pytest.importorskip(name.removesuffix("-cpu"), reason="make test installs the frameworks")
    needs = {canonicalize_name(r.name) for r in closure([Requirement(name) for name in FRAMEWORKS])}
    assert set(pins("frameworks")) == needs - set(pins("all"))


@pytest.mark.parametrize("name", ["client", "server", "trainer", "cuda", "dev", "all"])
def test_pins_are_in_the_ranges_asked_for(name: str) -> None:
    pinned = pins(name)
    for r in closure(needed(["", "server", "trainer", "cuda", "dev"])):
        version = pinned.get(canonicalize_name(r.name))
        assert version is None or r.specifier.contains(version, prereleases=True), f"{r} but {version}"


def closure(requirements: list[Requirement]) -> Iterator[Requirement]:
    """The requirements and those of the installed libraries that meet them."""
    waiting, seen = list(requirements), set()
    while waiting:
        requirement = waiting.pop()
        yield requirement
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) in seen:
                continue
            seen.add((requirement.name, extra))
            for text in metadata.requires(requirement.name) or []:
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    try:
                        metadata.version(inner.name)
                    except metadata.PackageNotFoundError:
                        assert "cuda" in inner.name, f"{inner}, needed by {requirement}, is not installed"
                    else:
                        waiting.append(inner)


def test_each_half_lacks_the_libraries_of_the_other() -> None:
    assert not set(pins("server")) & ONLY_TRAINER
    assert not set(pins("trainer")) & ONLY_SERVER
    assert not set(pins("cuda")) & ONLY_SERVER
    assert not set(pins("client")) & (ONLY_SERVER | ONLY_TRAINER)


def test_files_agree() -> None:
    for part in ("server", "trainer", "dev"):
        assert pins("all").items() >= pins(part).items()
    assert pins("cuda").items() >= pins("trainer").items()
    assert pins("server").items() >= pins("client").items()
    assert pins("trainer").items() >= pins("client").items()
    assert pins("peers").items() >= pins("client").items()


@pytest.mark.parametrize(
    ("name", "package"), [("client", "inkstream"), ("server", "batch_server"), ("trainer", "trainer")]
)
def test_every_module_imports_with_nothing_but_what_is_pinned(name: str, package: str) -> None:
    """A library that is used but not pinned is found here, where everything is installed."""
    allowed = {*pins(name), "inkstream"}
    if package == "inkstream":
        allowed.add("zstandard")  # an extra, asked for when it is used
    others = {
        module
        for module, owners in metadata.packages_distributions().items()
        if not allowed & {canonicalize_name(owner) for owner in owners}
    }
    code = (
        "import importlib, pkgutil, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(others)!r}))\n"  # None there makes an import fail
        f"package = importlib.import_module({package!r})\n"
        f"for module in pkgutil.walk_packages(package.__path__, '{package}.'):\n"
        f"    if not module.name.endswith('__main__') and module.name not in {ADAPTERS!r}:\n"
        "        importlib.import_module(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_three_packages_and_the_contract(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "inkstream",
        "batch_server",
        "trainer",
        f"inkstream-{PROJECT['version']}.dist-info",
    }
    assert {"inkstream/v1/batch_service_pb2.py", "inkstream/v1/batch_service.proto"} <= set(names)
    assert not any("__pycache__" in name for name in names)
