"""The command `aioecs conformance`: checks on an account whether ECS behaves as the library relies on."""

from __future__ import annotations

from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._display.status import CANNOT
from aioecs.cli._options import HOW, WHERE, AsJson, Cluster, UsageError, instances

HELP = """
Check on your own account whether Amazon ECS behaves as aioecs relies on.

It starts at most 60 tasks of a task definition that you name, most of them one at a time, stops them, and prints a \
table: each fact, what was expected and on what ground, what was seen, and what depends on it. It asks before it \
starts. Ctrl-C stops what it started. Two idle container instances are enough; nothing else in the account is changed.

The task definition should run for about ten seconds and then end, with network mode bridge, host or none: such as \
busybox with the command sleep 10, 10 CPU units and 16 MiB.

[bold]Examples[/]

  aioecs conformance --cluster c1 --task-definition td

With the facts that take an hour, and those that throttle the account for some seconds:

  aioecs conformance --cluster c1 --task-definition td \\
    --long --throttle --yes > conformance.md

On a local ECS, without an account:

  aioecs conformance --local
"""


@with_access
def conformance(
    cluster: Cluster = None,
    task_definition: Annotated[
        str | None,
        typer.Option("--task-definition", metavar="NAME", help="What to start.", rich_help_panel=WHERE),
    ] = None,
    on_instances: Annotated[
        list[str] | None,
        typer.Option(
            "--instances",
            metavar="ID,ID",
            help="On two of these container instances; by default on two that are there.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="On a local ECS.", rich_help_panel=WHERE)] = False,
    long: Annotated[
        bool, typer.Option("--long", help="With what takes more than an hour.", rich_help_panel=HOW)
    ] = False,
    throttle: Annotated[
        bool,
        typer.Option(
            "--throttle",
            help="Measure the rates: all callers of the account are throttled for about 20 seconds.",
            rich_help_panel=HOW,
        ),
    ] = False,
    drain: Annotated[
        str | None,
        typer.Option(
            "--drain",
            metavar="ID",
            help="Set this instance to DRAINING, and back; it must run no task.",
            rich_help_panel=HOW,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", rich_help_panel=HOW)] = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Prepare, ask, run and report, and return the exit status; `HELP` is what the user reads."""
    # Imported here: help needs none of it.
    import asyncio

    from aioecs.cli._conformance.checks_run import confirmed, prepared, run_local, run_on
    from aioecs.cli._display.streams import Streams
    from aioecs.conformance._setup import Options

    options = Options(long=long, throttle=throttle, drain=drain)
    streams, named = Streams(), instances(on_instances or [])
    if local:
        _check_local(cluster, task_definition, named, access)
        return asyncio.run(run_local(options, streams, as_json=as_json))
    if cluster is None or task_definition is None:
        raise UsageError(f"{'--cluster' if cluster is None else '--task-definition'} is missing; or --local")
    wanted = {
        "cluster": cluster,
        "task_definition": task_definition,
        "instances": named,
        "options": options,
        "profile": access.profile,
    }
    setup = asyncio.run(prepared(access, wanted))
    if isinstance(setup, int):
        return setup
    if not yes and not confirmed(setup, streams):
        return CANNOT
    return asyncio.run(run_on(access, setup, streams, as_json=as_json))


def _check_local(cluster: str | None, definition: str | None, named: tuple[str, ...], access: Access) -> None:
    """Refuse options that say where another ECS is.

    Raises:
        UsageError: one was given.
    """
    given = {"--cluster": cluster, "--task-definition": definition, "--instances": named}
    given |= {"--endpoint-url": access.endpoint_url, "--region": access.region, "--profile": access.profile}
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} and --local exclude each other")
