"""The command `aioecs wait`: wait until tasks run, or until they have stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from aioecs import Client, ECSError, InvalidRequest, Task, WaitError
from aioecs.cli._access import Access, with_access
from aioecs.cli._commands.tasks import as_line, table
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import DONE, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._lookup import complete_task_ids
from aioecs.cli._options import HOW, WHERE, AsJson, refused
from aioecs.cli._read_command import run_with_client
from aioecs.cli._task_names import task_names
from aioecs.cli._task_results import explanations, result_members

HELP = """
Wait until tasks run, or until they have stopped, and show them as last described.

A task that stops without having run ends a wait for running tasks at once. With --for stopped the status is 0 if \
each task ended by itself and its essential containers ended with exit code 0; with --container that container decides \
alone. All tasks are shown, and why each of the others failed. With - the tasks are read from standard input, as \
aioecs stop does.

[bold]Examples[/]

  aioecs wait --cluster c1 6f1e2d...

  aioecs tasks --cluster c1 --started-by nightly --json \\
    | aioecs wait - --for stopped --timeout 3600
"""


class Goal(StrEnum):
    """The state to wait for."""

    RUNNING = "running"
    STOPPED = "stopped"


@with_access
def wait(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK...", help="Ids, beginnings of ids, ARNs, or - for standard input.")
    ],
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="Cluster of ids; an ARN has its own. By default: default.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    goal: Annotated[Goal, typer.Option("--for", help="The state to wait for.", rich_help_panel=HOW)] = Goal.RUNNING,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            help="How long to wait, at most; by default there is no limit.",
            rich_help_panel=HOW,
        ),
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(
            "--container",
            metavar="NAME",
            help="With --for stopped: the container whose exit code decides.",
            rich_help_panel=HOW,
        ),
    ] = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Wait and return the exit status; `HELP` is what the user reads."""
    streams = Streams()
    waiting = partial(
        wait_for_tasks,
        task_names(tasks),
        goal,
        streams,
        cluster=cluster or "default",
        timeout=timeout,
        container=container,
        as_json=as_json,
    )
    return asyncio.run(run_with_client(access, streams, waiting))


async def wait_for_tasks(
    tasks: Sequence[str],
    goal: Goal,
    streams: Streams,
    client: Client,
    *,
    cluster: str,
    timeout: float | None = None,
    container: str | None = None,
    as_json: bool = False,
) -> int:
    """Wait, show the tasks as last described, and return the exit status.

    Raises:
        UsageError: something is no task.
        ECSError: they could not be described.
    """
    wait = client.wait_until_running if goal is Goal.RUNNING else client.wait_until_stopped
    try:
        tasks = await complete_task_ids(client, tasks, cluster)
        async with _counted(client, tasks, goal, streams, cluster=cluster):
            there = await wait(tasks, timeout=timeout, cluster=cluster)
    except InvalidRequest as error:
        raise refused(error, {"tasks": "TASK"}) from error
    except WaitError as error:
        _show(streams, error.known, as_json=as_json)
        streams.print_error(text_of(error))
        return PARTLY
    if goal is Goal.RUNNING:
        _show(streams, there, as_json=as_json)
        return DONE
    return await show_ended(client, there, container, streams, as_json=as_json)


async def show_ended(
    client: Client, tasks: Sequence[Task], container: str | None, streams: Streams, *, as_json: bool
) -> int:
    """Show tasks that have stopped and how each ended, and return the exit status."""
    results = [await client.task_result(task, container=container) for task in tasks]
    if as_json:
        streams.show([as_line(result.task, **result_members(result)) for result in results])
    else:
        streams.show(table(tasks, streams.columns))
        for line in explanations(results):
            streams.print_note(line)
    return DONE if all(result.succeeded for result in results) else PARTLY


@asynccontextmanager
async def _counted(
    client: Client, tasks: Sequence[str], goal: Goal, streams: Streams, *, cluster: str
) -> AsyncGenerator[None]:
    """Count the tasks in the goal state while the block runs, shown live, and printed if it is cancelled."""
    there: set[str] = set()

    async def count() -> None:
        with suppress(ECSError):  # which the wait meets as well, and reports
            async for task in client.watch(tasks, cluster=cluster):
                if task.last_status == "STOPPED" or (goal is Goal.RUNNING and task.last_status == "RUNNING"):
                    there.add(task.task_arn or "")

    live = streams.shows_progress(as_json=False)
    counting = asyncio.get_running_loop().create_task(count(), name="aioecs wait counts")
    try:
        with streams.live_display(lambda _: Text(f"{len(there):,}/{len(tasks):,} {goal}")) if live else nullcontext():
            yield
    except asyncio.CancelledError:
        which = "were running" if goal is Goal.RUNNING else "had stopped"
        streams.print_note(Text(f"Interrupted: {len(there):,} of {len(tasks):,} tasks {which}", "bold yellow"))
        raise
    finally:
        counting.cancel()
        await asyncio.wait([counting])


def _show(streams: Streams, tasks: Sequence[Task], *, as_json: bool) -> None:
    streams.show([as_line(task) for task in tasks] if as_json else table(tasks, streams.columns))
