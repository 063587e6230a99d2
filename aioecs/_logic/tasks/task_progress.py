"""How far a task has come: what it means for a wait, and which of two descriptions of it is the newer.

Decided by `started_at` and the statuses; `stopped_reason` is prose.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

from aioecs._model.shapes.container import Container
from aioecs._model.shapes.task import Task

LIFE = (
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
"""The statuses of a task in their order. [AmazonECS/latest/developerguide/task-lifecycle-explanation.html]"""

_PLACE: Mapping[str | None, int] = {status: at for at, status in enumerate(LIFE)}
_OVER = ("STOPPED", "DELETED")


class Goal(Enum):
    """What a wait waits for."""

    RUNNING = "RUNNING"
    """That it runs, or has run: one that was quick is not missed."""
    STOPPED = "STOPPED"
    """That it has stopped."""
    HEALTHY = "HEALTHY"
    """That it runs, and the health checks of its essential containers pass."""


class Standing(Enum):
    """What a task's state means for a wait."""

    NOT_YET = "not yet"
    REACHED = "reached"
    NEVER = "never"


@attrs.frozen
class Observation:
    """A task as it was last seen."""

    task: Task
    ran: bool
    """It was seen RUNNING, or says when it started to."""
    described: bool = True
    """ECS itself described it so; an event only claims it."""

    @property
    def over(self) -> bool:
        """Whether it has stopped, for good."""
        return is_over(self.task)


def is_over(task: Task) -> bool:
    """Tell whether a task has stopped, for good."""
    return task.last_status in _OVER


def seen(task: Task, before: Observation | None = None, *, described: bool = True) -> Observation | None:
    """Return the task as it is now seen; None if that is no news: a repeat, or older than what was seen before.

    What ECS describes wins over the version that an event claimed, if it has come further.
    """
    health = before is not None and described and _health_changed(task, before.task)
    over_claim = before is not None and described and not before.described and further(task, before.task)
    if before is not None and not over_claim and not health and not newer(task, before.task):
        return None
    ran = task.started_at is not None or task.last_status == Goal.RUNNING.value
    return Observation(task, ran or (before is not None and before.ran), described)


def _health_changed(task: Task, before: Task) -> bool:
    """Tell whether the same state of a task is described with another health; not every such change is a version."""
    same = task.last_status == before.last_status and task.version == before.version
    return same and task.health_status != before.health_status


def newer(task: Task, than: Task) -> bool:
    """Tell whether a description of a task is newer than another: by `version`, else by how far it has come."""
    mine, theirs = task.version, than.version
    if isinstance(mine, int) and isinstance(theirs, int) and mine != theirs:
        return mine > theirs
    here, there = _place(task), _place(than)
    if here is None or there is None:  # a status of a newer ECS, or none at all
        return task.last_status is not None and task.last_status != than.last_status
    return here > there


def further(task: Task, than: Task) -> bool:
    """Tell whether a task has come further in its life than another description of it says, whatever their versions."""
    here, there = _place(task), _place(than)
    return here is not None and there is not None and here > there


def _place(task: Task) -> int | None:
    return _PLACE.get(task.last_status) if isinstance(task.last_status, str) else None


def standing(observation: Observation | None, goal: Goal) -> Standing:
    """Tell what a task's state means for a wait."""
    if observation is None:
        return Standing.NOT_YET
    if _reached(observation, goal):
        return Standing.REACHED
    return Standing.NEVER if observation.over else Standing.NOT_YET


def _reached(observation: Observation, goal: Goal) -> bool:
    if goal is Goal.HEALTHY:
        return observation.task.health_status == Goal.HEALTHY.value and not observation.over
    return observation.ran if goal is Goal.RUNNING else observation.over


def exit_codes(task: Task) -> dict[str, int | None]:
    """Return what each container exited with, by its name; None for one that never ran."""
    return {_text(each.name): each.exit_code for each in containers_of(task)}


def containers_of(task: Task) -> list[Container]:
    """Return the containers of a task; what ECS sends is kept as it comes, and may be of the wrong kind."""
    listed: Any = task.containers
    return [each for each in listed if isinstance(each, Container)] if isinstance(listed, (list, tuple)) else []


def _text(held: object) -> str:
    return held if isinstance(held, str) else ""
