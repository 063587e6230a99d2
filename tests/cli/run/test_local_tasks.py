"""What tasks do on the embedded local ECS."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from aioecs.cli._run.local_tasks import (
    LINES,
    SERVED_LINES,
    exit_code,
    output,
    running_seconds,
    served_output,
    settings,
)
from aioecs.testing import LocalECS


def override(variables: Mapping[str, str] | None = None, command: list[str] | None = None) -> Any:
    """Return a task with an override of its container."""
    environment = [{"name": name, "value": value} for name, value in (variables or {}).items()]
    container = {"name": "main", "environment": environment, "command": command}
    return SimpleNamespace(overrides={"containerOverrides": [container]})


@pytest.mark.parametrize(
    ("variables", "seconds", "code"),
    [
        ({}, 3.0, 0),
        ({"SECONDS": "9.5", "EXIT_CODE": "4"}, 9.5, 4),
        ({"SECONDS": "inf", "EXIT_CODE": "x"}, 3.0, 0),
        ({"SECONDS": "-1", "EXIT_CODE": "257"}, 3.0, 1),
        ({"SECONDS": "0"}, 0.0, 0),
    ],
)
def test_variables(variables: dict[str, str], seconds: float, code: int) -> None:
    """They set how long a task runs and how it exits; what is neither is passed over."""
    task = override(variables)
    assert (running_seconds(task), exit_code(task)) == (seconds, code)


def test_output() -> None:
    """A few lines while it runs, or the arguments of its command."""
    assert output(override({"SECONDS": "6"})) == [(0.0, LINES[0]), (2.0, LINES[1]), (4.0, LINES[2])]
    assert output(override(command=["echo", "hello"])) == [(0.0, "echo hello")]


def test_output_where_it_is_served() -> None:
    """All at once, for a task may run for ever."""
    assert served_output(override()) == [(0.0, SERVED_LINES[0]), (0.0, SERVED_LINES[1])]
    assert served_output(override(command=["echo", "hello"])) == [(0.0, "echo hello")]


@pytest.mark.parametrize("fargate", [False, True])
def test_the_local_ecs_takes_them(fargate: bool) -> None:
    """The latest revision of `demo` logs."""
    local = LocalECS(**settings(fargate=fargate))
    answer = local.engine.call("DescribeTaskDefinition", {"taskDefinition": "demo"})["taskDefinition"]
    assert answer["revision"] == 1
    assert answer["containerDefinitions"][0]["logConfiguration"]["logDriver"] == "awslogs"
