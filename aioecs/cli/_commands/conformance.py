"""The command `aioecs conformance`: checks on an account whether ECS behaves as the library relies on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer
from rich.text import Text

from aioecs import CancelToken
from aioecs.cli._access import Access, with_access
from aioecs.cli._display.status import CANNOT, DONE, INTERRUPTED, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import HOW, WHERE, AsJson, Cluster, UsageError, instances
from aioecs.cli._signals import interrupts

if TYPE_CHECKING:
    from aioecs.conformance._connection import Connection
    from aioecs.conformance._setup import Setup

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


def _connection(access: Access) -> AbstractAsyncContextManager[Connection]:
    from aioecs.conformance._connection import connected

    options = {name: access.client_options()[name] for name in ("region_name", "endpoint_url")}
    session = access.client_options()["session"]
    return connected(session, **{name: value for name, value in options.items() if value is not None})


async def prepared(access: Access, wanted: dict[str, Any]) -> Setup | int:
    """Read where the checks are to run; an exit status if Ctrl-C ends it.

    Raises:
        UsageError: they can't run there.
    """
    from aioecs.conformance._setup import CannotRun, prepare

    token = CancelToken()
    with interrupts(token, lambda: os._exit(INTERRUPTED)):
        reading = asyncio.current_task()
        assert reading is not None  # noqa: S101 this is a coroutine
        token.add_callback(lambda _: reading.cancel())
        try:
            async with _connection(access) as connection:
                return await prepare(connection.ecs, **wanted)
        except CannotRun as error:
            raise UsageError(str(error)) from error
        except asyncio.CancelledError:
            return INTERRUPTED


def confirmed(setup: Setup, streams: Streams) -> bool:
    """Print what is going to happen, and return whether the answer is yes.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on; --yes starts without asking")
    for line in plan(setup):
        streams.print_note(Text(line))
    sys.stderr.write("Start? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def plan(setup: Setup) -> list[str]:
    """Return what the checks do to a cluster, one line each."""
    from aioecs.conformance._checks.table import most_tasks

    options = setup.options
    definition, count = setup.task_definition.rpartition("/")[2], len(setup.instances)
    lines = [
        f"Cluster {setup.cluster} in {setup.region}, at {setup.endpoint}.",
        f"At most {most_tasks(setup)} tasks of {definition} are started on {count} container instances, and stopped.",
        "About 600 requests, a few minutes.",
    ]
    if options.long:
        lines.append("Then it waits for an hour.")
    if options.throttle:
        lines.append("All callers of ECS in the account and Region are throttled for about 20 seconds.")
    if options.drain:
        lines.append(f"The container instance {options.drain} is set to DRAINING, and back to ACTIVE.")
    return lines


async def run_local(options: Any, streams: Streams, *, as_json: bool = False) -> int:
    """Run the checks on a local ECS, and return the exit status."""
    from aioecs.conformance._connection import LOCAL_CLUSTER, LOCAL_DEFINITION, local
    from aioecs.conformance._setup import prepare

    async with local(throttle=options.throttle) as connection:
        poll: dict[str, Any] = {} if options.throttle else {"poll": 0.02}
        setup = await prepare(
            connection.ecs,
            cluster=LOCAL_CLUSTER,
            task_definition=LOCAL_DEFINITION,
            options=attrs.evolve(options, drain=connection.idle),
            local=True,
            **poll,
        )
        return await run_and_report(connection, setup, streams, as_json=as_json)


async def run_on(access: Access, setup: Setup, streams: Streams, *, as_json: bool = False) -> int:
    """Run the checks on an account, and return the exit status."""
    async with _connection(access) as connection:
        return await run_and_report(connection, setup, streams, as_json=as_json)


async def run_and_report(
    connection: Connection,
    setup: Setup,
    streams: Streams,
    *,
    as_json: bool,
    end: Callable[[int], object] = os._exit,
) -> int:
    """Run the checks until Ctrl-C, which stops what they started; a second one ends the process."""
    from aioecs.conformance._report import as_json as json_of
    from aioecs.conformance._report import as_markdown
    from aioecs.conformance._runner import run_checks

    token, context = CancelToken(), connection.context(setup)

    def at_once() -> None:
        streams.print_error(f"tasks with a startedBy that begins with aioecs-check-{context.run} may run on")
        if context.draining is not None:
            streams.print_error(f"the container instance {context.draining} may be DRAINING")
        end(INTERRUPTED)

    def progress(check: str) -> None:
        streams.print_note(Text(f"{check} …", "dim"))

    with interrupts(token, at_once):
        report = await run_checks(context, token.wait, progress)
    for line in report.left:
        streams.print_error(line)
    streams.write(json_of(report) if as_json else as_markdown(report))
    await streams.drained()
    if report.interrupted:
        return INTERRUPTED
    return streams.status(DONE if report.conforms else PARTLY)
