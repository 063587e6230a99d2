"""The command `aioecs watch`: show a cluster's tasks by state and the load of its instances, live."""

from __future__ import annotations

from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._display.status import DONE, INTERRUPTED
from aioecs.cli._options import HOW, WHERE, AsJson, Cluster

HELP = """
Watch a cluster until Ctrl-C: how many tasks are in which state, and the load of each instance.

A terminal shows a table on the whole screen, as aioecs instances does, which is drawn again after each poll. \
In a pipe, and in JSON, there is a line for each change of a task; one \
that was not there before counts as a change, and so does one that has stopped.

[bold]Examples[/]

  aioecs watch --cluster c1

  aioecs watch --cluster c1 --family frame --json
"""


@with_access
def watch(
    cluster: Cluster = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="Only tasks of this family.", rich_help_panel=WHERE),
    ] = None,
    started_by: Annotated[
        str | None,
        typer.Option("--started-by", metavar="MARK", help="Only tasks with this startedBy.", rich_help_panel=WHERE),
    ] = None,
    interval: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=0.1, help="Seconds between two polls.", rich_help_panel=HOW),
    ] = 2.0,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Watch until a signal, and return the exit status; `HELP` is what the user reads."""
    import asyncio

    from aioecs import ListTasksRequest
    from aioecs.cli._cluster.cluster_watch import ClusterWatch
    from aioecs.cli._display.streams import Streams
    from aioecs.cli._read_command import run_with_client

    request = ListTasksRequest(cluster=cluster, family=family, started_by=started_by)
    streams = Streams()
    watching = ClusterWatch(request, streams, as_json=as_json, interval=interval)
    status = asyncio.run(run_with_client(access, streams, watching.go))
    return DONE if status == INTERRUPTED else status
