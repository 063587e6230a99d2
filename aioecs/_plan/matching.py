"""Which task belongs to which start: by container instance, repeats counted, the eldest first.

ECS documents no order for the tasks of an answer, and the same instance may stand in a request twice. So tasks are
held against starts by the last part of the instance's ARN, and among tasks of one instance the smallest
(createdAt, ARN) comes first: whoever looks, on whatever machine, keeps the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import attrs

from aioecs._model.arn import short
from aioecs._model.start_task import StartTaskRequest
from aioecs._model.task import Failure, Task
from aioecs._plan.token import stop_reason
from aioecs.errors import ECSError

_NEVER = datetime.max.replace(tzinfo=UTC)


@attrs.define(eq=False)
class Slot:
    """One start of a call, as far as it is known."""

    instance: str
    task: Task | None = None
    failure: Failure | None = None
    error: ECSError | None = None
    ours: bool = False
    """Started by a send of this very call, rather than found under its key."""
    stopped: bool = False

    @property
    def known(self) -> bool:
        """Whether it is settled what came of it, one way or the other."""
        return self.task is not None or self.failure is not None or self.error is not None


def eldest_first(tasks: Iterable[Task]) -> list[Task]:
    """Order tasks as every machine orders them."""
    return sorted(tasks, key=lambda task: (task.created_at or _NEVER, task.task_arn or ""))


def answer(slots: list[Slot], tasks: Iterable[Task], failures: Iterable[Failure]) -> None:
    """Give what ECS answered to the starts that were asked for; nothing that it told is dropped.

    A task or failure whose instance is not recognised goes to the first start without one: ECS answered this call.
    """
    for task in eldest_first(tasks):
        slot = _open(slots, task.container_instance_arn)
        if slot is not None:
            slot.task, slot.ours, slot.error = task, True, None
    for failure in failures:
        slot = _open(slots, failure.arn)
        if slot is not None:
            slot.failure, slot.error = failure, None


def _open(slots: list[Slot], arn: str | None) -> Slot | None:
    unknown = [slot for slot in slots if not slot.known]
    meant = [slot for slot in unknown if short(slot.instance) == short(arn or "")]
    return next(iter(meant or unknown), None)


def adopt(slots: list[Slot], found: Iterable[Task], *, ours: bool) -> list[Task]:
    """Give the found tasks to the starts of their instance and return those that are one too many.

    What a start holds already is weighed anew with what was found: the eldest are kept, so that two starts of one
    token end as the same single task wherever they are looked at from.
    """
    surplus: list[Task] = []
    held = {slot.task.task_arn: slot.ours for slot in slots if slot.task is not None}
    gone = {slot.task.task_arn for slot in slots if slot.task is not None and slot.stopped}
    by_instance: dict[str, dict[str, Task]] = {}
    for task in found:
        if task.task_arn not in gone:
            by_instance.setdefault(short(task.container_instance_arn or ""), {})[task.task_arn or ""] = task
    for instance, tasks in by_instance.items():
        mine = [slot for slot in slots if short(slot.instance) == instance and not slot.stopped]
        known = {slot.task.task_arn or "": slot.task for slot in mine if slot.task is not None}
        kept = eldest_first((known | tasks).values())
        # A start that ECS refused is given a task last of all: another one may be waiting for it.
        for slot, task in zip(sorted(mine, key=_refused), kept, strict=False):
            slot.task, slot.ours = task, held.get(task.task_arn, ours)
            slot.failure = slot.error = None
        surplus += kept[len(mine) :]
    return surplus


def _refused(slot: Slot) -> bool:
    return slot.failure is not None or slot.error is not None


def withdrawn(task: Task, token: str) -> bool:
    """Tell whether aioecs itself stopped the task for this token: such a one is not adopted."""
    return task.stop_code == "UserInitiated" and task.stopped_reason == stop_reason(token)


def on_instances(request: StartTaskRequest, found: Iterable[Task]) -> list[Task]:
    """Return the tasks that stand on an instance of the request."""
    instances = {short(instance) for instance in request.container_instances}
    return [task for task in found if short(task.container_instance_arn or "") in instances]


def strangers(request: StartTaskRequest, found: Iterable[Task]) -> list[Task]:
    """Return the tasks that the request can't have started: of another definition, or on another instance."""
    found = list(found)
    near = on_instances(request, found)
    return [task for task in found if task not in near or not _of_definition(request, task)]


def _of_definition(request: StartTaskRequest, task: Task) -> bool:
    asked, has = short(request.task_definition), short(task.task_definition_arn or "")
    return has == asked if ":" in asked else has.partition(":")[0] == asked
