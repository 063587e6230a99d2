"""The clients of the field: what is installed for each, how it is driven, and how its users cancel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

import aioecs

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".venv" / "field"
"""Where each client has an environment of its own; `.gitignore` has it."""
BOTH = ("StartTask", "RunTask")


@attrs.frozen(kw_only=True)
class FieldClient:
    """A client, in an environment of its own."""

    name: str
    driver: str
    packages: tuple[str, ...] = ()
    """To install; none for what is installed beside aioecs."""
    operations: tuple[str, ...] = BOTH
    arguments: tuple[str, ...] = ()
    cancel: str
    """How its users cancel a start."""
    script: str | None = None
    """A command of its environment, whose path is the last argument."""
    starts: int = 100
    """How many starts it makes in each storm by default; fewer where each start takes seconds."""

    @property
    def folder(self) -> Path:
        """Its environment."""
        return INSTALLED / self.driver

    @property
    def is_node(self) -> bool:
        """Whether it runs in Node.js."""
        return self.driver == "javascript"

    def command(self) -> list[str] | None:
        """Return the command line of its driver, without the settings; None if it isn't installed."""
        if self.is_node:
            node = shutil.which("node")
            installed = (self.folder / "node_modules" / self.packages[0]).exists()
            return [node, str(HERE / "drivers" / "drive_javascript.mjs")] if node and installed else None
        python = self._python()
        return None if python is None else [python, str(HERE / "drivers" / f"drive_{self.driver}.py")]

    def _python(self) -> str | None:
        if self.script is not None:  # its driver needs nothing but the script
            return sys.executable if self.path() else None
        own = self.folder / "bin" / "python"
        return str(own) if own.exists() else None if self.packages else sys.executable

    def path(self) -> str | None:
        """Return the path of its script: in its own environment, else beside this Python."""
        places = [self.folder / "bin", Path(sys.executable).parent]
        return next(
            (str(place / self.script) for place in places if self.script and (place / self.script).exists()), None
        )

    def version(self) -> str:
        """Return the name and version of what is driven, once it is installed.

        Raises:
            OSError: its environment is incomplete.
            subprocess.CalledProcessError: likewise.
        """
        if self.driver == "aioecs":
            return f"aioecs {aioecs.__version__}"  # the checkout's
        package = self.packages[-1] if self.packages else self.driver
        if self.is_node:
            described = json.loads((self.folder / "node_modules" / package / "package.json").read_text())
            return f"{package} {described['version']}"
        path = self.path()
        python = str(Path(path).parent / "python") if path else self._python() or sys.executable
        program = f"from importlib.metadata import version; print(version({package!r}))"
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
        return f"{package} {done.stdout.strip()}"

    def last_arguments(self) -> tuple[str, ...]:
        """Return what follows the settings."""
        return (self.path() or "",) if self.script is not None else self.arguments

    def install(self) -> str | None:
        """Install it; return the last line of what went wrong, None if nothing did."""
        if not self.packages:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        for command in self._installs():
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            if done.returncode:
                shutil.rmtree(self.folder)
                return (done.stderr or done.stdout).strip().splitlines()[-1]
        return None

    def _installs(self) -> Sequence[list[str]]:
        if self.is_node:
            return [["npm", "install", "--no-audit", "--no-fund", *self.packages]]
        python = str(self.folder / "bin" / "python")
        return [[sys.executable, "-m", "venv", "."], [python, "-m", "pip", "install", "-q", *self.packages]]


SIGNAL = "a signal in the thread that starts"
CLIENTS = (
    FieldClient(name="aioecs", driver="aioecs", cancel="task.cancel()"),
    FieldClient(name="boto3, legacy (its default)", driver="boto3", arguments=("legacy",), cancel="Ctrl-C"),
    FieldClient(name="boto3, standard", driver="boto3", arguments=("standard",), cancel="Ctrl-C"),
    FieldClient(name="aiobotocore", driver="aiobotocore", cancel="task.cancel()"),
    FieldClient(name="capo-ecs", driver="capo", packages=("capo-ecs",), cancel="task.cancel()"),
    FieldClient(name="AWS CLI", driver="awscli", packages=("awscli",), cancel="Ctrl-C", script="aws", starts=60),
    FieldClient(
        name="AWS SDK for JavaScript",
        driver="javascript",
        packages=("@aws-sdk/client-ecs",),
        cancel="AbortController",
    ),
    FieldClient(
        name="Airflow's EcsRunTaskOperator",
        driver="airflow",
        packages=("apache-airflow", "apache-airflow-providers-amazon"),
        operations=("RunTask",),
        cancel="on_kill",
        starts=50,
    ),
    FieldClient(
        name="Prefect's ECS worker",
        driver="prefect",
        packages=("prefect-aws",),
        operations=("RunTask",),
        cancel=SIGNAL,
        starts=50,
    ),
    FieldClient(
        name="Dagster's ECS run launcher",
        driver="dagster",
        packages=("dagster-aws",),
        operations=("RunTask",),
        cancel=SIGNAL,
        starts=50,
    ),
)


def install_all() -> None:
    """Install what is missing, and say what could not be installed."""
    for client in CLIENTS:
        if client.command() is None:
            print(f"installing {client.name} …", file=sys.stderr)
            if (wrong := client.install()) is not None:
                print(f"{client.name} could not be installed: {wrong}", file=sys.stderr)
