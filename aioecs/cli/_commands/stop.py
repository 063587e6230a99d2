"""The command `aioecs stop`: stop tasks, and report the result for each."""

from __future__ import annotations

from typing import Annotated

import typer

from aioecs.cli._access import Access, with_access
from aioecs.cli._options import HOW, WHERE, AsJson, UsageError

HELP = """
Stop tasks, by id or ARN. Their containers get SIGTERM, and SIGKILL later.

The cluster is the one in a task's ARN, unless another is named. With - the tasks are read from standard input: ids or \
ARNs with white space between them, or JSON as the other commands or the AWS CLI write it.

After Ctrl-C no further stop begins, and what was stopped is reported; a second one ends at once.

[bold]Examples[/]

  aioecs stop --cluster c1 6f1e2d --reason 'wrong input'

All that a run has started, or that has a mark:

  aioecs start --cluster c1 --task-definition td \\
    --count 99 --json > run.jsonl

  aioecs stop - < run.jsonl

  aioecs stop --cluster c1 --started-by nightly

  aws ecs list-tasks --cluster c1 --family frame \\
    | aioecs stop -
"""


@with_access
def stop(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK...", help="Ids, beginnings of ids, ARNs, or - for standard input."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="Name or ARN of the cluster; by default the one in the task's ARN, else default.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="Stop all running tasks of this family.", rich_help_panel=WHERE),
    ] = None,
    started_by: Annotated[
        str | None,
        typer.Option(
            "--started-by", metavar="MARK", help="Stop all running tasks with this startedBy.", rich_help_panel=WHERE
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="Reason of the stop, which the task shows.", rich_help_panel=HOW),
    ] = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> int:
    """Stop them and return the exit status; `HELP` is what the user reads."""
    all_of = family is not None or started_by is not None
    if bool(tasks) == all_of:
        raise UsageError("name tasks, or give --family or --started-by" + (", not both" if all_of else ""))
    import asyncio

    from aioecs import ListTasksRequest, StopTaskRequest
    from aioecs.cli._cluster.stop_run import StopRun, check
    from aioecs.cli._display.streams import Streams
    from aioecs.cli._task_names import cluster_in, task_names

    names = task_names(tasks or ())
    wanted = [StopTaskRequest(cluster=cluster or cluster_in(name), task=name, reason=reason) for name in names]
    for request in wanted:
        check(request)
    matching = ListTasksRequest(cluster=cluster, family=family, started_by=started_by) if all_of else None
    stop_run = StopRun(wanted, Streams(), matching=matching, reason=reason, as_json=as_json)
    return asyncio.run(stop_run.go(access))
