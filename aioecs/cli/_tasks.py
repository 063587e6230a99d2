"""The command `aioecs tasks`: list tasks and describe each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer
from rich.text import Text

from aioecs import Client, DescribeTasksRequest, DesiredStatus, InvalidRequest, ListTasksRequest, Task
from aioecs._model.arn import short
from aioecs.cli._access import Access, with_access
from aioecs.cli._columns import Column, lines
from aioecs.cli._options import AsJson, Cluster, refused
from aioecs.cli._reading import moment, reading, told_failures
from aioecs.cli._screen import one_line
from aioecs.cli._status import DONE
from aioecs.cli._streams import Streams

HELP = """
List the tasks of a cluster, with where each stands.

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


@with_access
def tasks(
    cluster: Cluster = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="Of a task definition's family.", rich_help_panel=ONLY),
    ] = None,
    started_by: Annotated[
        str | None,
        typer.Option(
            "--started-by",
            metavar="MARK",
            help="Started with this mark or token; ECS takes no other filter beside it.",
            rich_help_panel=ONLY,
        ),
    ] = None,
    desired_status: Annotated[
        DesiredStatus | None,
        typer.Option(
            "--desired-status",
            case_sensitive=False,
            help="Driven there by ECS; without it, RUNNING.",
            rich_help_panel=ONLY,
        ),
    ] = None,
    container_instance: Annotated[
        str | None,
        typer.Option("--container-instance", metavar="ID", help="On this instance.", rich_help_panel=ONLY),
    ] = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """List, describe and show, and return the exit status; `HELP` is what the user reads."""
    request = ListTasksRequest(
        cluster=cluster,
        family=family,
        started_by=started_by,
        desired_status=desired_status,
        container_instance=container_instance,
    )
    streams = Streams()
    return asyncio.run(reading(access, streams, partial(look, request, streams, as_json=as_json)))


async def look(request: ListTasksRequest, streams: Streams, client: Client, *, as_json: bool = False) -> int:
    """List the tasks that are asked for, show them, and return the exit status.

    Raises:
        UsageError: ECS documents that it does not take this.
        ECSError: they could not be listed or described.
    """
    try:
        arns = (await client.list_tasks(request)).task_arns
    except InvalidRequest as error:
        raise refused(error) from error
    if not arns:
        if not as_json:
            streams.note(Text("no tasks", "dim"))
        return DONE
    answer = await client.describe_tasks(DescribeTasksRequest(cluster=request.cluster, tasks=arns))
    found = sorted(answer.tasks, key=lambda task: (moment(task.created_at) or "", task.task_arn or ""))
    streams.show([as_line(task) for task in found] if as_json else table(found, streams.columns))
    return told_failures(streams, answer.failures)


def table(tasks: Sequence[Task], width: int | None) -> list[Text]:
    """Lay tasks out, one a line."""
    return lines(
        [
            Column("TASK", [short(task.task_arn or "") for task in tasks]),
            Column("STATUS", [_status(task) for task in tasks]),
            Column("EXIT", [_exit_codes(task) for task in tasks], 1),
            Column("DEFINITION", [short(task.task_definition_arn or "") for task in tasks], 1),
            Column("CREATED", [moment(task.created_at) or "" for task in tasks], 2),
            Column("INSTANCE", [short(task.container_instance_arn or "") for task in tasks], 3),
            Column("STARTED BY", [one_line(task.started_by or "") for task in tasks], 4),
            Column("STOPPED", [one_line(task.stopped_reason or task.stop_code or "") for task in tasks], 5),
        ],
        width,
    )


def _exit_codes(task: Task) -> str:
    """Tell with what the containers ended: by name where there are several, - for none at all."""
    if task.last_status != "STOPPED":
        return ""
    codes = [(each.name or "", "-" if each.exit_code is None else str(each.exit_code)) for each in task.containers]
    return codes[0][1] if len(codes) == 1 else ", ".join(f"{one_line(name)} {code}" for name, code in codes)


def _status(task: Task) -> Text:
    last, desired = task.last_status or "", task.desired_status or ""
    if last == desired or not desired:
        return Text(last, "green" if last == "RUNNING" else "dim" if last == "STOPPED" else "yellow")
    return Text(f"{last}->{desired}", "yellow")


def as_line(task: Task) -> str:
    """Return a task as a line of JSON. Overrides are left out: their environment may hold secrets."""
    facts: dict[str, Any] = {
        "task_arn": task.task_arn,
        "last_status": task.last_status,
        "desired_status": task.desired_status,
        "task_definition_arn": task.task_definition_arn,
        "container_instance_arn": task.container_instance_arn,
        "cluster_arn": task.cluster_arn,
        "started_by": task.started_by,
        "group": task.group,
        "created_at": moment(task.created_at),
        "started_at": moment(task.started_at),
        "stopped_at": moment(task.stopped_at),
        "stop_code": task.stop_code,
        "stopped_reason": task.stopped_reason,
        "containers": [
            {"name": each.name, "last_status": each.last_status, "exit_code": each.exit_code, "reason": each.reason}
            for each in task.containers
        ],
    }
    return json.dumps(facts)
