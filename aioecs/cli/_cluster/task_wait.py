"""Waits for tasks, and shows them as last described."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress

from rich.text import Text

from aioecs import Client, ECSError, InvalidRequest, Task, WaitError
from aioecs.cli._cluster.task_list import as_line, table
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.status import DONE, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._lookup import complete_task_ids
from aioecs.cli._options import Goal, refused
from aioecs.cli._task_results import explanations, result_members


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
