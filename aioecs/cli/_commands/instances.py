"""The command `aioecs instances`: list container instances and their free capacity."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._display.output_format import Output, Query, rendering
from aioecs.cli._options import AsJson, Cluster

HELP = """
List the container instances of a cluster: their status, their tasks, and their free capacity.

The bars show what is in use; 3 +2 are tasks, 3 running and 2 pending. \
A terminal shows the columns that fit; a pipe gets all but the bars. In JSON there is a \
line for each instance.

[bold]Examples[/]

  aioecs instances --cluster c1

  aioecs instances --cluster c1 --status DRAINING

  aioecs instances --cluster c1 \\
    --filter 'attribute:ecs.instance-type =~ m7.*'
"""

ONLY = "Only instances"


class InstanceStatus(StrEnum):
    """The names of `aioecs.types.ContainerInstanceStatus`, whose import help doesn't need."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    REGISTERING = "REGISTERING"
    DEREGISTERING = "DEREGISTERING"
    REGISTRATION_FAILED = "REGISTRATION_FAILED"


@with_access
def instances(
    cluster: Cluster = None,
    matching: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="EXPR", help="That match this cluster query expression.", rich_help_panel=ONLY
        ),
    ] = None,
    status: Annotated[
        InstanceStatus | None,
        typer.Option("--status", case_sensitive=False, help="With this status.", rich_help_panel=ONLY),
    ] = None,
    output: Output = None,
    query: Query = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """List, describe and show, and return the exit status; `HELP` is what the user reads."""
    import asyncio
    from functools import partial

    from aioecs import ListContainerInstancesRequest
    from aioecs.cli._cluster.instance_list import list_instances
    from aioecs.cli._display.streams import Streams
    from aioecs.cli._read_command import run_with_client

    request = ListContainerInstancesRequest(cluster=cluster, filter=matching, status=status and status.value)
    streams, shown = Streams(), rendering(output, query, as_json=as_json)
    return asyncio.run(run_with_client(access, streams, partial(list_instances, request, streams, shown=shown)))
