"""Decides what the state of a task means for a wait, and which of two descriptions of it is newer.

It reads `started_at` and the statuses; `stopped_reason` is prose.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

from aioecs._model.shapes.container import Container
from aioecs._model.shapes.task import Task

STATUSES = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
    "DELETED",
)
"""The statuses of a task, in order. [AmazonECS/latest/developerguide/task-lifecycle-explanation.html]"""

_RANK: Mapping[str | None, int] = {status: at for at, status in enumerate(STATUSES)}
_OVER = ("STOPPED", "DELETED")


class Goal(Enum):
    """What a wait waits for."""

    RUNNING = "RUNNING"
    """That it runs, or has run: a short task is not missed."""
    STOPPED = "STOPPED"
    """That it has stopped."""
    HEALTHY = "HEALTHY"
    """That it runs, and the health checks of its essential containers pass."""


class Progress(Enum):
    """What a task's state means for a wait."""

    NOT_YET = "not yet"
    REACHED = "reached"
    NEVER = "never"


@attrs.frozen
class Observation:
    """A task as it was last seen."""

    task: Task
    ran: bool
    """It was seen RUNNING, or has a `started_at`."""
    described: bool = True
    """ECS itself described it so; False where only an event reported it."""

    @property
    def over(self) -> bool:
        """Whether it has stopped, for good."""
        return is_over(self.task)


def is_over(task: Task) -> bool:
    """Return whether a task has stopped, for good."""
    return task.last_status in _OVER


def observe(task: Task, before: Observation | None = None, *, described: bool = True) -> Observation | None:
    """Return the new observation of a task; None if it is a repeat, or older than the one before.

    A description by ECS replaces an event's, whatever their versions, if its status is further along.
    """
    health = before is not None and described and _health_changed(task, before.task)
    beyond_event = before is not None and described and not before.described and is_further(task, before.task)
    if before is not None and not beyond_event and not health and not is_newer(task, before.task):
        return None
    ran = task.started_at is not None or task.last_status == Goal.RUNNING.value
    return Observation(task, ran or (before is not None and before.ran), described)


def _health_changed(task: Task, before: Task) -> bool:
    """Return whether only the health of a task has changed; not every such change has a version of its own."""
    same = task.last_status == before.last_status and task.version == before.version
    return same and task.health_status != before.health_status


def is_newer(task: Task, than: Task) -> bool:
    """Return whether a description of a task is newer than another: by `version`, else by status."""
    mine, theirs = task.version, than.version
    if isinstance(mine, int) and isinstance(theirs, int) and mine != theirs:
        return mine > theirs
    here, there = _rank(task), _rank(than)
    if here is None or there is None:  # a status of a newer ECS, or none at all
        return task.last_status is not None and task.last_status != than.last_status
    return here > there


def is_further(task: Task, than: Task) -> bool:
    """Return whether a task's status is further along than another description's, whatever their versions."""
    here, there = _rank(task), _rank(than)
    return here is not None and there is not None and here > there


def _rank(task: Task) -> int | None:
    return _RANK.get(task.last_status) if isinstance(task.last_status, str) else None


def progress_towards(observation: Observation | None, goal: Goal) -> Progress:
    """Return what a task's state means for a wait."""
    if observation is None:
        return Progress.NOT_YET
    if _reached(observation, goal):
        return Progress.REACHED
    return Progress.NEVER if observation.over else Progress.NOT_YET


def _reached(observation: Observation, goal: Goal) -> bool:
    if goal is Goal.HEALTHY:
        return observation.task.health_status == Goal.HEALTHY.value and not observation.over
    return observation.ran if goal is Goal.RUNNING else observation.over


def exit_codes(task: Task) -> dict[str, int | None]:
    """Return the exit code of each container, by its name; None for one that never ran."""
    return {_text(each.name): each.exit_code for each in containers_of(task)}


def containers_of(task: Task) -> list[Container]:
    """Return the containers of a task; members of an answer are kept as ECS sent them, and may have a wrong type."""
    listed: Any = task.containers
    return [each for each in listed if isinstance(each, Container)] if isinstance(listed, (list, tuple)) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
