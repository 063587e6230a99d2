"""The command `aioecs local`: an ECS on this machine, for any client, until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from aioecs.cli._options import HOW, AllowHost, AsJson, Faults, Host, Port, UsageError

T = TypeVar("T")

HELP = """
Run an ECS on this machine, for any AWS SDK, the AWS CLI or aioecs, until Ctrl-C.

It enforces what Amazon ECS enforces, and starts nothing: its tasks are records only. A task definition demo:1 is there.

Tasks whose containers have the log driver awslogs, as demo's has, write two lines as they begin to run, or the \
arguments of --command. aioecs run and aioecs logs show them, and so does any client of CloudWatch Logs that calls \
its address.

[bold]Examples[/]

On a free port, or on one of your choice:

  aioecs local

  aioecs local --port 8080 --instances 50

From a script, which reads where it is:

  aioecs local --json

With tasks that end by themselves after three seconds, those of the family batch with exit code 1, and with task \
definitions as `aws ecs register-task-definition --cli-input-json` takes them:

  aioecs local --running 3 --exit-code batch=1 \\
    --task-definition batch.json

As Fargate, without container instances:

  aioecs local --fargate --provisioning 2

In a storm, a file of one fault a line, as JSON. These break about one answer in five after the tasks have started, \
and throttle about one of ten other starts:

  aioecs local --faults storm.jsonl

  {"kind": "reset", "operation": "StartTask", "when": "after", "chance": 0.2, "times": null}

  {"kind": "throttle", "operation": "StartTask", "chance": 0.1, "times": null}
"""


def local(
    port: Port = 0,
    host: Host = "127.0.0.1",
    region: Annotated[
        str, typer.Option("--region", metavar="REGION", help="Region in its ARNs.", rich_help_panel=HOW)
    ] = "us-east-1",
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="NAME", help="Name of its cluster.", rich_help_panel=HOW)
    ] = "default",
    instances: Annotated[
        int | None,
        typer.Option(
            "--instances",
            metavar="N",
            min=0,
            help="Container instances; 3, or none with --fargate.",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    cpu: Annotated[
        int,
        typer.Option("--cpu", metavar="UNITS", min=1, help="CPU of each, 1024 to a vCPU.", rich_help_panel=HOW),
    ] = 4096,
    memory: Annotated[
        int, typer.Option("--memory", metavar="MIB", min=1, help="Memory of each.", rich_help_panel=HOW)
    ] = 16384,
    pending: Annotated[
        float,
        typer.Option("--pending", metavar="SECONDS", min=0, help="How long a task is PENDING.", rich_help_panel=HOW),
    ] = 0.0,
    provisioning: Annotated[
        float,
        typer.Option(
            "--provisioning",
            metavar="SECONDS",
            min=0,
            help="How long a task on Fargate is PROVISIONING.",
            rich_help_panel=HOW,
        ),
    ] = 0.0,
    running: Annotated[
        list[str] | None,
        typer.Option(
            "--running",
            metavar="[FAMILY=]SECONDS",
            help="After how long RUNNING tasks end by themselves; without it, never.",
            rich_help_panel=HOW,
        ),
    ] = None,
    exit_code: Annotated[
        list[str] | None,
        typer.Option(
            "--exit-code",
            metavar="[FAMILY=]CODE",
            help="Exit code of tasks that end by themselves; 0 if not given.",
            rich_help_panel=HOW,
        ),
    ] = None,
    task_definition: Annotated[
        list[Path] | None,
        typer.Option(
            "--task-definition",
            metavar="FILE",
            help="Task definition to register, as JSON; may be repeated.",
            rich_help_panel=HOW,
        ),
    ] = None,
    fargate: Annotated[
        bool, typer.Option("--fargate", help="Run tasks on Fargate by default.", rich_help_panel=HOW)
    ] = False,
    allow_host: AllowHost = None,
    faults: Faults = None,
    as_json: AsJson = False,
) -> int:
    """Serve until a signal, and return the exit status; `HELP` is what the user reads."""
    # Imported here: help needs none of it.
    import asyncio

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._run import local_tasks
    from aioecs.cli._serving.given_files import read_definitions, read_faults
    from aioecs.cli._serving.local_server import serve

    settings: dict[str, Any] = {
        "port": port,
        "host": host,
        "region": region,
        "cluster": cluster,
        "instances": (0 if fargate else 3) if instances is None else instances,
        "cpu": cpu,
        "memory": memory,
        "pending_seconds": pending,
        "output": local_tasks.served_output,
        "task_definitions": [local_tasks.demo_definition(fargate=fargate)],
    }
    if provisioning:
        settings["provisioning_seconds"] = provisioning
    if running:
        settings["running_seconds"] = by_family("--running", running, seconds, None)
    if exit_code:
        settings["exit_code"] = by_family("--exit-code", exit_code, exit_status, 0)
    if task_definition:
        settings["task_definitions"] += [each for path in task_definition for each in read_definitions(path)]
    if fargate:
        settings["fargate"] = True
    if allow_host:
        settings["hosts"] = allow_host
    if faults is not None:
        settings["faults"] = read_faults(faults)
    return asyncio.run(serve(settings, Streams(), as_json=as_json))


def seconds(text: str) -> float:
    """Read a number of seconds.

    Raises:
        ValueError: it is none.
    """
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("it is negative or endless")
    return value


def exit_status(text: str) -> int:
    """Read an exit code.

    Raises:
        ValueError: it is none: an exit code is 0 to 255.
    """
    value = int(text)
    if not 0 <= value <= 255:
        raise ValueError("it is not from 0 to 255")
    return value


def by_family(option: str, args: list[str], read: Callable[[str], T], otherwise: T | None) -> Callable[[Any], T | None]:
    """Read values for all tasks or those of a family, the last one counting; return a function of the task.

    Raises:
        UsageError: one can't be read; the message has both.
    """
    values: dict[str, T] = {}
    for arg in args:
        family, _, value = arg.rpartition("=")
        try:
            values[family] = read(value)
        except ValueError as error:
            raise UsageError(f"{option} {arg}: {error}") from error
    default = values.pop("", otherwise)
    return lambda task: values.get(task.family, default)
