"""The command `aioecs wait`: wait until tasks run, or until they have stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._options import HOW, WHERE, AsJson, Goal

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
    import asyncio
    from functools import partial

    from aioecs.cli._cluster.task_wait import wait_for_tasks
    from aioecs.cli._display.streams import Streams
    from aioecs.cli._read_command import run_with_client
    from aioecs.cli._task_names import task_names

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
