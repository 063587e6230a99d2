"""What tasks do on the ECS that is embedded in `aioecs run --local`, and on `aioecs local`: they write a few lines.

`--env SECONDS=9` sets how long a task runs, `--env EXIT_CODE=3` its exit code; the arguments of `--command` are what it
writes instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from aioecs.testing import LocalTask

T = TypeVar("T")

SECONDS = 3.0
"""How long a task runs, unless the variable says otherwise."""
SUBNET = "subnet-local"
"""What its tasks on Fargate are in, where no other subnet is named."""
LINES = ("This task runs on the embedded local ECS.", "It is a record only: these lines are all it does.", "Done.")
SERVED_LINES = ("This task runs on the local ECS.", "It is a record only: these lines are all it does.")
"""What a task writes on `aioecs local`, where it may run for ever."""
_LOG: Mapping[str, Any] = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/ecs/demo", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "local"},
}


def demo_definition(*, fargate: bool) -> dict[str, Any]:
    """Return the task definition `demo`, which logs."""
    container: dict[str, Any] = {"name": "main", "image": "busybox", "memory": 10, "logConfiguration": _LOG}
    definition: dict[str, Any] = {"family": "demo", "containerDefinitions": [container]}
    if fargate:
        definition |= {"cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
    return definition


def settings(*, fargate: bool) -> dict[str, Any]:
    """Return the settings of a LocalECS whose task definition `demo` logs, and whose tasks end."""
    return {
        "task_definitions": [demo_definition(fargate=fargate)],
        "running_seconds": running_seconds,
        "exit_code": exit_code,
        "output": output,
        "fargate": fargate,
    }


def running_seconds(task: LocalTask) -> float:
    """Return how long a task runs."""
    return _variable(task, "SECONDS", _seconds, SECONDS)


def _seconds(text: str) -> float:
    if not 0 <= (seconds := float(text)) < float("inf"):
        raise ValueError(text)
    return seconds


def exit_code(task: LocalTask) -> int:
    """Return what a task exits with."""
    return _variable(task, "EXIT_CODE", int, 0) % 256


def output(task: LocalTask) -> list[tuple[float, str]]:
    """Return what a task writes, evenly over the time that it runs."""
    lines = _commands(task) or LINES
    return [(running_seconds(task) * number / len(lines), line) for number, line in enumerate(lines)]


def served_output(task: LocalTask) -> list[tuple[float, str]]:
    """Return what a task writes on `aioecs local`, as it begins to run."""
    return [(0.0, line) for line in _commands(task) or SERVED_LINES]


def _commands(task: LocalTask) -> list[str]:
    return [" ".join(each["command"]) for each in _overrides(task) if each.get("command")]


def _overrides(task: LocalTask) -> list[dict[str, Any]]:
    overrides: list[dict[str, Any]] = (task.overrides or {}).get("containerOverrides") or []
    return overrides


def _variable(task: LocalTask, name: str, read: Callable[[str], T], otherwise: T) -> T:
    """Return an environment variable of a task, read as a value; one that can't be read counts as not given."""
    pairs = [pair for each in _overrides(task) for pair in each.get("environment") or []]
    try:
        return read(next(pair["value"] for pair in pairs if pair.get("name") == name))
    except (StopIteration, ValueError, KeyError):
        return otherwise
