"""The command `aioecs tasks`: list tasks and describe each."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._display.output_format import Output, Query, rendering
from aioecs.cli._options import OUTPUT, AsJson, Cluster, Order, UsageError

HELP = """
List the tasks of a cluster with their status; or show the named tasks in full.

A terminal shows the columns that fit; a pipe gets all of them. In JSON there is a line for each task. Values of \
environment variables are in neither.

[bold]Examples[/]

What runs, and what ran on one instance:

  aioecs tasks --cluster c1

  aioecs tasks --cluster c1 --container-instance 4c54 \\
    --desired-status STOPPED

What one call of aioecs started, by its token, to be stopped:

  aioecs tasks --cluster c1 --started-by TOKEN --json \\
    | aioecs stop -
"""

ONLY = "Only tasks"


class Status(StrEnum):
    """The names of `aioecs.types.DesiredStatus`, whose import help doesn't need."""

    RUNNING = "RUNNING"
    PENDING = "PENDING"
    STOPPED = "STOPPED"


@with_access
def tasks(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TASK...", help="Tasks to show in full: ids, beginnings of ids, ARNs, or - for standard input."
        ),
    ] = None,
    cluster: Cluster = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="Of this task definition family.", rich_help_panel=ONLY),
    ] = None,
    started_by: Annotated[
        str | None,
        typer.Option(
            "--started-by",
            metavar="MARK",
            help="With this startedBy: a mark or a token. ECS takes no other filter beside it.",
            rich_help_panel=ONLY,
        ),
    ] = None,
    desired_status: Annotated[
        Status | None,
        typer.Option(
            "--desired-status",
            case_sensitive=False,
            help="With this desired status; by default RUNNING.",
            rich_help_panel=ONLY,
        ),
    ] = None,
    container_instance: Annotated[
        str | None,
        typer.Option("--container-instance", metavar="ID", help="On this container instance.", rich_help_panel=ONLY),
    ] = None,
    order: Annotated[
        Order, typer.Option("--sort", help="What the list is sorted by.", rich_help_panel=OUTPUT)
    ] = Order.CREATED,
    output: Output = None,
    query: Query = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """List, describe and show, and return the exit status; `HELP` is what the user reads."""
    import asyncio
    from functools import partial

    from aioecs import ListTasksRequest
    from aioecs.cli._cluster.task_list import describe, list_tasks
    from aioecs.cli._display.streams import Streams
    from aioecs.cli._read_command import run_with_client
    from aioecs.cli._task_names import task_names

    request = ListTasksRequest(
        cluster=cluster,
        family=family,
        started_by=started_by,
        desired_status=desired_status and desired_status.value,
        container_instance=container_instance,
    )
    streams, shown = Streams(), rendering(output, query, as_json=as_json)
    if not names:
        return asyncio.run(
            run_with_client(access, streams, partial(list_tasks, request, streams, order=order, shown=shown))
        )
    if request != ListTasksRequest(cluster=cluster):
        raise UsageError("named tasks are shown in any state: leave the filters out")
    describing = partial(describe, task_names(names), streams, cluster=cluster, shown=shown)
    return asyncio.run(run_with_client(access, streams, describing))
