"""Runs the checks of conformance on an account or a local ECS: prepares, asks, runs, reports."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
from rich.text import Text

from aioecs import CancelToken
from aioecs.cli._access import Access
from aioecs.cli._display.status import DONE, INTERRUPTED, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._signals import interrupts
from aioecs.conformance._checks.table import most_tasks
from aioecs.conformance._connection import LOCAL_CLUSTER, LOCAL_DEFINITION, Connection, connected
from aioecs.conformance._connection import local as local_ecs
from aioecs.conformance._report import as_json as json_of
from aioecs.conformance._report import as_markdown
from aioecs.conformance._runner import run_checks
from aioecs.conformance._setup import CannotRun, Setup, prepare


def _connection(access: Access) -> AbstractAsyncContextManager[Connection]:
    options = {name: access.client_options()[name] for name in ("region_name", "endpoint_url")}
    session = access.client_options()["session"]
    return connected(session, **{name: value for name, value in options.items() if value is not None})


async def prepared(access: Access, wanted: dict[str, Any]) -> Setup | int:
    """Read where the checks are to run; an exit status if Ctrl-C ends it.

    Raises:
        UsageError: they can't run there.
    """
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
    async with local_ecs(throttle=options.throttle) as connection:
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
