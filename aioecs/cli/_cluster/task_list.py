"""Lists tasks with their status, and shows named tasks in full."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

import attrs
from rich.text import Text

from aioecs import Client, DescribeTasksRequest, Failure, InvalidRequest, ListTasksRequest, Task
from aioecs._model.arn import short
from aioecs.cli._display.columns import Column, lines
from aioecs.cli._display.output_format import TABLE, Rendering
from aioecs.cli._display.status import DONE
from aioecs.cli._display.streams import Streams
from aioecs.cli._display.text_lines import one_line
from aioecs.cli._lookup import complete_task_ids
from aioecs.cli._options import Order, refused
from aioecs.cli._read_command import iso_time, print_failures
from aioecs.cli._task_names import cluster_in


def sort_key(order: Order, task: Task) -> tuple[str, ...]:
    """Return what a task is sorted by in this order, then by its time."""
    key = {
        Order.STATUS: task.last_status,
        Order.DEFINITION: task.task_definition_arn,
        Order.INSTANCE: task.container_instance_arn,
        Order.STARTED_BY: task.started_by,
        Order.STOPPED: iso_time(task.stopped_at),
    }.get(order)
    return (key or "", iso_time(task.created_at) or "", task.task_arn or "")


async def describe(
    names: Sequence[str], streams: Streams, client: Client, *, cluster: str | None, shown: Rendering = TABLE
) -> int:
    """Show tasks in full, and return the exit status.

    Raises:
        UsageError: something is no task.
        ECSError: they could not be described.
    """
    failures: list[Failure] = []
    tasks: list[Task] = []
    for where in dict.fromkeys(cluster or cluster_in(name) for name in names):
        mine = [name for name in names if (cluster or cluster_in(name)) == where]
        try:
            request = DescribeTasksRequest(
                cluster=where, tasks=await complete_task_ids(client, mine, where), include=["TAGS"]
            )
            answer = await client.describe_tasks(request)
        except InvalidRequest as error:
            raise refused(error, {"tasks": "TASK"}) from error
        tasks += answer.tasks
        failures += answer.failures
    full = (line for task in tasks for line in (*members(_without_overrides(task)), Text("")))
    streams.show(shown.lines([facts(task) for task in tasks], lambda: full))
    return print_failures(streams, failures)


def _without_overrides(task: Task) -> dict[str, Any]:
    """Return a task's members except its overrides, whose environment and command may hold secrets."""
    return attrs.asdict(
        cast("Any", task), filter=lambda field, held: field.name != "overrides" and held not in (None, (), {})
    )


def members(value: dict[str, Any], indent: str = "") -> Iterator[Text]:
    """Lay out an object, a member a line, what it consists of further in."""
    for name, held in value.items():
        inner = [each for each in held if isinstance(each, dict)] if isinstance(held, (list, tuple)) else []
        if isinstance(held, dict):
            yield Text(f"{indent}{name}:")
            yield from members(cast("dict[str, Any]", held), f"{indent}  ")
        elif inner:
            yield Text(f"{indent}{name}:")
            for each in cast("list[dict[str, Any]]", inner):
                first, *others = members(each, f"{indent}    ")
                yield Text(f"{indent}  - {first.plain.lstrip()}", no_wrap=True)
                yield from others
        elif held not in (None, [], ()):
            shown = iso_time(held) if isinstance(held, datetime) else held
            yield Text(f"{indent}{name}: {one_line(str(shown))}", no_wrap=True)


async def list_tasks(
    request: ListTasksRequest,
    streams: Streams,
    client: Client,
    *,
    order: Order = Order.CREATED,
    shown: Rendering = TABLE,
) -> int:
    """List and describe the matching tasks, show them, and return the exit status.

    Raises:
        UsageError: ECS documents that it does not take this.
        ECSError: they could not be listed or described.
    """
    try:
        arns = (await client.list_tasks(request)).task_arns
    except InvalidRequest as error:
        raise refused(error) from error
    if not arns:
        if shown.is_table:
            streams.print_note(Text("no tasks", "dim"))
        else:
            streams.show(shown.lines([], list))
        return DONE
    answer = await client.describe_tasks(DescribeTasksRequest(cluster=request.cluster, tasks=arns))
    found = sorted(answer.tasks, key=partial(sort_key, order))
    streams.show(shown.lines([facts(task) for task in found], lambda: table(found, streams.columns)))
    return print_failures(streams, answer.failures)


def table(tasks: Sequence[Task], width: int | None) -> list[Text]:
    """Lay tasks out, one a line."""
    return lines(
        [
            Column("TASK", [short(task.task_arn or "") for task in tasks]),
            Column("STATUS", [_status(task) for task in tasks]),
            Column("EXIT", [_exit_codes(task) for task in tasks], 1),
            Column("DEFINITION", [short(task.task_definition_arn or "") for task in tasks], 1),
            Column("CREATED", [iso_time(task.created_at) or "" for task in tasks], 2),
            Column("INSTANCE", [short(task.container_instance_arn or "") for task in tasks], 3),
            Column("STARTED BY", [one_line(task.started_by or "") for task in tasks], 4),
            Column("STOPPED", [one_line(task.stopped_reason or task.stop_code or "") for task in tasks], 5),
        ],
        width,
    )


def _exit_codes(task: Task) -> str:
    """Return the containers' exit codes: by name where there are several, - for none."""
    if task.last_status != "STOPPED":
        return ""
    codes = [(each.name or "", "-" if each.exit_code is None else str(each.exit_code)) for each in task.containers]
    return codes[0][1] if len(codes) == 1 else ", ".join(f"{one_line(name)} {code}" for name, code in codes)


def _status(task: Task) -> Text:
    last, desired = task.last_status or "", task.desired_status or ""
    if last == desired or not desired:
        return Text(last, "green" if last == "RUNNING" else "dim" if last == "STOPPED" else "yellow")
    return Text(f"{last}->{desired}", "yellow")


def as_line(task: Task, **more: Any) -> str:
    """Return a task as a line of JSON, with further members."""
    return json.dumps(facts(task) | more)


def facts(task: Task) -> dict[str, Any]:
    """Return what JSON has of a task. Overrides may hold secrets and are left out."""
    return {
        "task_arn": task.task_arn,
        "last_status": task.last_status,
        "desired_status": task.desired_status,
        "task_definition_arn": task.task_definition_arn,
        "container_instance_arn": task.container_instance_arn,
        "cluster_arn": task.cluster_arn,
        "started_by": task.started_by,
        "group": task.group,
        "created_at": iso_time(task.created_at),
        "started_at": iso_time(task.started_at),
        "stopped_at": iso_time(task.stopped_at),
        "stop_code": task.stop_code,
        "stopped_reason": task.stopped_reason,
        "containers": [
            {"name": each.name, "last_status": each.last_status, "exit_code": each.exit_code, "reason": each.reason}
            for each in task.containers
        ],
    }
