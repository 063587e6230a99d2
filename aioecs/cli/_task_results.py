"""How stopped tasks ended: `aioecs.task_result`, with the task definitions that say which containers are essential."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from aioecs import Client, DescribeTaskDefinitionRequest, ECSError, Task, TaskResult, task_result
from aioecs._model.arn import short
from aioecs.cli._display.start_counts import text_of
from aioecs.cli._display.text_lines import one_line
from aioecs.types import TaskDefinition

EXPLAINED = 10  # failed tasks that are explained one by one


async def task_results(
    client: Client, tasks: Sequence[Task], container: str | None, print_error: Callable[[str], object]
) -> list[TaskResult]:
    """Judge how each task ended, with one DescribeTaskDefinition for each revision, none if a container is named.

    If a definition can't be described, an error is printed and its tasks are judged by their description alone.
    """
    definitions: dict[str, TaskDefinition | None] = {}
    if container is None:
        for arn in dict.fromkeys(task.task_definition_arn for task in tasks if task.task_definition_arn):
            definitions[arn] = await _definition(client, arn, print_error)
    return [task_result(task, definitions.get(task.task_definition_arn or ""), container) for task in tasks]


async def _definition(client: Client, arn: str, print_error: Callable[[str], object]) -> TaskDefinition | None:
    try:
        answer = await client.describe_task_definition(DescribeTaskDefinitionRequest(task_definition=arn))
    except ECSError as error:
        print_error(f"which containers of {short(arn)} are essential is not known: {text_of(error)}")
        return None
    return answer.task_definition


def explanations(results: Sequence[TaskResult]) -> list[Text]:
    """Return lines about the tasks that did not succeed, one for each of the first ten; none if all succeeded."""
    others = [result for result in results if not result.succeeded]
    if not others:
        return []
    unknown = sum(result.succeeded is None for result in others)
    failed = f"{len(others) - unknown} of {len(results)} failed"
    lines = [Text(f"{failed}, {unknown} unknown" if unknown else failed, "yellow")]
    for result in others[:EXPLAINED]:
        word = "failed" if result.succeeded is False else "unknown"
        lines.append(Text(one_line(f"{short(result.task.task_arn or '')} {word}: {result.explanation}")))
    if (more := len(others) - EXPLAINED) > 0:
        lines.append(Text(f"and {more:,} more; --json names all", "dim"))
    return lines


def result_members(result: TaskResult) -> dict[str, Any]:
    """Return the members of a result for a line of JSON."""
    return {
        "succeeded": result.succeeded,
        "exit_code": result.exit_code,
        "cause": result.cause,
        "explanation": result.explanation,
    }
