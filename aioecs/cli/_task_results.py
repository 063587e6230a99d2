"""How stopped tasks ended, as text and as JSON; a client's `task_result` judges them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from aioecs import TaskResult
from aioecs._model.arn import short
from aioecs.cli._display.text_lines import one_line

EXPLAINED = 10  # failed tasks that are explained one by one


def explanations(results: Sequence[TaskResult]) -> list[Text]:
    """Return lines about the tasks that did not succeed, one for each of the first ten; none if all succeeded."""
    others = [result for result in results if not result.succeeded]
    if not others:
        return []
    unknown = sum(result.succeeded is None for result in others)
    failed = f"{len(others) - unknown} of {len(results)} failed"
    lines = [Text(f"{failed}, {unknown} unknown" if unknown else failed, "yellow")]
    for result in others[:EXPLAINED]:
        result_text = "failed" if result.succeeded is False else "unknown"
        lines.append(Text(one_line(f"{short(result.task.task_arn or '')} {result_text}: {result.explanation}")))
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
