"""The command `aioecs logs`: its options and their help."""

from __future__ import annotations

from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._options import HOW, OUTPUT, WHERE, AsJson

HELP = """
Show what a task has written to its log: all of it, the last lines, or the lines as they come.

The log is read from CloudWatch Logs, for containers with the log driver awslogs, or awsfirelens to cloudwatch. Where \
a task has several containers their names stand before the lines. A terminal shows colours; a pipe gets the lines as \
they were written.

[bold]Examples[/]

  aioecs logs --cluster c1 6f1e2d --follow

  aioecs logs --cluster c1 6f1e2d --tail 100 \\
    --container main

  aioecs logs --cluster c1 6f1e2d --since 10m --timestamps

A task of the embedded local ECS, without an account:

  aioecs logs --local --follow
"""


@with_access
def logs(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="Id, its beginning, or ARN.", show_default=False)
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="Cluster of an id; an ARN has its own.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Start a task on an ECS embedded in this command; it runs 3 seconds.", rich_help_panel=WHERE
        ),
    ] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Show lines as they come, until the task has ended.", rich_help_panel=HOW),
    ] = False,
    container: Annotated[
        str | None,
        typer.Option("--container", metavar="NAME", help="Show the lines of this container only.", rich_help_panel=HOW),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Show lines from then on: how long ago, as 90s, 10m, 2h or 1d, or a time, as 2026-11-27T18:00Z.",
            rich_help_panel=HOW,
        ),
    ] = None,
    tail: Annotated[
        int | None,
        typer.Option(
            "--tail", metavar="N", min=0, help="Show only the last N lines that there are.", rich_help_panel=HOW
        ),
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="Put its time before each line.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Show the log and return the exit status; `HELP` is what the user reads."""
    # Imported here: help needs none of it.
    import asyncio

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._logs.task_log import LogOptions, TaskLog, read_since
    from aioecs.cli._options import UsageError

    if (task is None) != local:
        raise UsageError("name a task" + (", or give --local, not both" if local else ", or give --local to try it"))
    options = LogOptions(
        task=task,
        cluster=cluster or "default",
        follow=follow,
        container=container,
        since=None if since is None else read_since(since),
        tail=tail,
        timestamps=timestamps,
        as_json=as_json,
    )
    return asyncio.run(TaskLog(options, Streams()).go(access))
