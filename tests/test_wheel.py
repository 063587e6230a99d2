"""The wheel: what is in it, and that it works in a clean environment with its declared dependencies alone."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

import aioecs

ROOT = Path(__file__).parent.parent
PACKAGE = Path(aioecs.__file__).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as pip would, with the build system that is installed here."""
    out = tmp_path_factory.mktemp("wheel")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(out)], cwd=ROOT, capture_output=True, text=True, check=True)
    return out / done.stdout.split()[-1]


def needed(name: str, found: dict[str, Distribution]) -> None:
    """Collect what a distribution needs here, without its extras."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        named = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if named not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[named] = distribution(named)
            needed(named, found)


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it into a new environment, beside links to what it declares to need, and to nothing else."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    found: dict[str, Distribution] = {}
    needed("aioecs", found)
    for one in found.values():
        tops = {PurePosixPath(file).parts[0] for file in one.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(one.locate_file(top))))
    return home


def run(clean: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the new environment, away from the checkout."""
    first, *arguments = command
    # The linked packages have bytecode beside them; a prefix would have all of it compiled again.
    outer = {"PYTHONPATH", "PYTHONPYCACHEPREFIX"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(
        [str(clean / "bin" / first), *arguments],
        cwd=clean,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every module, the mark that it is typed, and its metadata; no test, no benchmark."""
    with zipfile.ZipFile(wheel) as held:
        names = {name for name in held.namelist() if ".dist-info/" not in name}
        (metadata,) = (held.read(name).decode() for name in held.namelist() if name.endswith("/METADATA"))
        (scripts,) = (held.read(name).decode() for name in held.namelist() if name.endswith("/entry_points.txt"))
        assert any(name.endswith("/licenses/LICENSE") for name in held.namelist())
    modules = {str(PurePosixPath("aioecs", *path.relative_to(PACKAGE).parts)) for path in PACKAGE.rglob("*.py")}
    assert names == modules | {"aioecs/py.typed"}
    fields = email.message_from_string(metadata)
    assert (fields["Name"], fields["Version"]) == ("aioecs", aioecs.__version__)
    assert "cli" in fields.get_all("Provides-Extra", [])
    assert "aioecs = aioecs.cli:main" in scripts


STARTS = """
import asyncio, importlib.util, sys
import aioecs, aioecs.sync
from aioecs.testing import LocalECS

assert aioecs.__file__.startswith(sys.prefix), aioecs.__file__
assert not any(importlib.util.find_spec(name) for name in ("rich", "typer", "moto", "pytest"))

async def main() -> None:
    async with LocalECS(instances=2) as local, aioecs.Client(**local.client_kwargs()) as ecs:
        request = aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
        print(len((await ecs.start_task(request)).tasks), len(local.truth.running()))

asyncio.run(main())
"""


def test_it_starts_tasks_without_the_extras(clean: Path) -> None:
    """With what it declares to need: no module leans on a library of the tests or the command line."""
    done = run(clean, "python", "-W", "error", "-c", STARTS)
    assert (done.stdout.split(), done.stderr) == (["2", "2"], "")


@pytest.mark.parametrize("command", [("aioecs", "start", "--help"), ("python", "-m", "aioecs.cli")])
def test_the_command_line_says_what_to_install(clean: Path, command: tuple[str, ...]) -> None:
    """And ends with the status of a wrong usage."""
    done = run(clean, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "the command line needs its extra: pip install 'aioecs[cli]'\n"


def test_every_module_can_be_imported_by_itself(clean: Path) -> None:
    """Except modules that need an extra, and the plugin that pytest itself loads."""
    behind_an_extra = ("aioecs.cli._", "aioecs.cli.__main__", "aioecs.otel", "aioecs.testing.plugin")
    names = [
        ".".join(("aioecs", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
    asked = [name for name in names if not name.startswith(behind_an_extra)]
    done = run(clean, "python", "-W", "error", "-c", f"import importlib; [*map(importlib.import_module, {asked!r})]")
    assert (done.returncode, done.stderr) == (0, "")
