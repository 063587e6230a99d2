"""Which task belongs to which start: by container instance, repeats counted, the eldest first.

ECS documents no order for the tasks of an answer, and the same instance may stand in a request twice. So tasks are
held against starts by the last part of the instance's ARN, and among tasks of one instance the smallest
(createdAt, ARN) comes first: whoever looks, on whatever machine, keeps the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import attrs

from aioecs._logic.calls.token import stop_reason
from aioecs._model.arn import short
from aioecs._model.codec.plain import to_plain
from aioecs._model.shapes.overrides import TaskOverride
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import ECSError

ANYWHERE = ""
"""In place of an instance: ECS chooses where the task of a RunTask goes."""
REASON_LOST = "ECS gave only these tasks again for the same clientToken; the answer with its reasons was lost"
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
    left: bool = False
    """Whoever wanted it wants it no more, while others of the call are wanted."""
    dropped: bool = False
    """Left before it was sent, so it never was."""

    @property
    def place(self) -> str:
        """The instance that ECS named for it; empty if it named none."""
        what = self.task or self.failure
        return _place(what) if what is not None else ""

    @property
    def known(self) -> bool:
        """Whether it is settled what came of it, one way or the other."""
        return self.task is not None or self.failure is not None or self.error is not None or self.dropped


def eldest_first(tasks: Iterable[Task]) -> list[Task]:
    """Order tasks as every machine orders them."""
    return sorted(tasks, key=lambda task: (_moment(task), task.task_arn or ""))


def _moment(task: Task) -> datetime:
    """Return when it was created; what ECS gives no sound time for comes last."""
    created: object = task.created_at
    return created if isinstance(created, datetime) else _NEVER


def sound(tasks: object, failures: object) -> tuple[list[Task], list[Failure]]:
    """Return what of an answer tells of a start: tasks that have an ARN, and failures that can be read.

    An answer is read as it is found: what stands in it and is neither costs the others nothing, and tells nothing.
    """
    return (
        [task for task in _listed(tasks) if isinstance(task, Task) and _is_text(task.task_arn) and task.task_arn],
        [each for each in _listed(failures) if isinstance(each, Failure) and _is_readable(each)],
    )


def _listed(held: object) -> Sequence[object]:
    return cast("Sequence[object]", held) if isinstance(held, (list, tuple)) else ()


def _is_readable(failure: Failure) -> bool:
    return all(_is_text(held) or held is None for held in (failure.arn, failure.reason, failure.detail))


def _is_text(held: object) -> bool:
    return isinstance(held, str)


def answer(slots: list[Slot], tasks: Iterable[Task], failures: Iterable[Failure]) -> None:
    """Give what ECS answered to the starts that were asked for; nothing that it told is dropped while one is open.

    What names no instance of an open start goes to the first that is left: ECS answered this call.
    """
    tasks, failures = list(tasks), list(failures)
    if not failures and _one_each(slots, tasks):
        return
    held = _held(slots)
    told: list[Task | Failure] = [*(task for task in _each_once(tasks) if task.task_arn not in held), *failures]
    at: dict[str, list[Slot]] = {}
    for slot in slots:
        at.setdefault(short(slot.instance), []).append(slot)
    strays = [what for what in told if not _give(what, at.get(short(_place(what)), ()))]
    for what in strays:
        _give(what, slots)


def answer_run(
    slots: list[Slot], tasks: Iterable[Task], failures: Sequence[Failure], *, again: bool
) -> tuple[Failure, ...]:
    """Give what ECS answered to a RunTask to its starts; return what it said of those that it could not place.

    ECS may give several failures for one task, or one for several. `again` says that ECS may have answered this
    `clientToken` before: it gives its tasks again then, and the reasons for the others may be lost.
    """
    held = _held(slots)
    for task in _each_once(tasks):
        if task.task_arn in held:
            held[task.task_arn].task = task
        else:
            _give(task, slots)
    if not failures and again and any(slot.task is not None for slot in slots):
        failures = (Failure(detail=REASON_LOST),)
    left = [slot for slot in slots if not slot.known]
    for at, slot in enumerate(left if failures else ()):
        slot.failure = failures[min(at, len(failures) - 1)]
    return tuple(failures) if left else ()


def not_ours_before(slots: Iterable[Slot], moment: datetime) -> None:
    """Note that tasks created before this moment were started by an earlier call with the same `clientToken`."""
    for slot in slots:
        if slot.task is not None:
            slot.ours = slot.ours and slot.task.created_at is not None and slot.task.created_at >= moment


def _one_each(slots: list[Slot], tasks: list[Task]) -> bool:
    """Give the tasks out where there is one way only: as many as open starts, each on another's instance."""
    if len(slots) == len(tasks) == 1:
        return _one(slots[0], tasks[0])
    arns = {task.task_arn for task in tasks}
    if not len(slots) == len(tasks) == len(arns):
        return False
    for slot in slots:  # `slot.known`, spelled out: it is asked of every start
        if slot.task is not None or slot.failure is not None or slot.error is not None or slot.dropped:
            return False
    asked = [slot.instance for slot in slots]
    # Mostly both are full ARNs, and needn't be taken apart.
    if _paired(slots, asked, tasks, [_place(task) for task in tasks]):
        return True
    return _paired(slots, map(short, asked), tasks, [short(_place(task)) for task in tasks])


def _one(slot: Slot, task: Task) -> bool:
    """Give a task to the one start there is, if it is on its instance."""
    if slot.known or not (slot.instance == (place := _place(task)) or _same(slot.instance, place)):
        return False
    slot.task, slot.ours = task, True
    return True


def _paired(slots: list[Slot], asked: Iterable[str], tasks: list[Task], told: Sequence[str | None]) -> bool:
    """Pair starts and tasks by the names of their instances, if these are the same and none stands twice."""
    at: dict[str | None, Slot] = dict(zip(asked, slots, strict=True))
    given = dict(zip(told, tasks, strict=True))
    if len(at) < len(slots) or at.keys() != given.keys():
        return False
    for place, task in given.items():
        slot = at[place]
        slot.task, slot.ours = task, True
    return True


def _give(what: Task | Failure, slots: Iterable[Slot]) -> bool:
    """Give it to the first open one; return whether there was one."""
    slot = next((slot for slot in slots if not slot.known), None)
    if slot is None:
        return False
    if isinstance(what, Task):
        slot.task, slot.ours = what, True
    else:
        slot.failure = what
    return True


def adopt(slots: list[Slot], found: Iterable[Task], *, ours: bool) -> list[Task]:
    """Give the found tasks to the starts of their instance and return those that are one too many.

    What a start holds already is weighed anew with what was found: the eldest are kept, so that two starts of one
    token end as the same single task wherever they are looked at from. Doing it again with the same changes nothing.
    """
    held = _held(slots)
    surplus: list[Task] = []
    anywhere = any(slot.instance == ANYWHERE for slot in slots)
    by_instance: dict[str, list[Task]] = {}
    for task in _each_once(found):
        if task.task_arn in held:
            held[task.task_arn].task = task  # as it is now
        else:
            by_instance.setdefault(ANYWHERE if anywhere else short(_place(task)), []).append(task)
    for instance, tasks in by_instance.items():
        mine = [slot for slot in slots if _same(slot.instance, instance)]
        if mine:  # else nobody asked for them, and they are none of our business
            surplus += _weigh([slot for slot in mine if not slot.stopped and not slot.dropped], tasks, ours)
    return surplus


def _weigh(slots: list[Slot], news: list[Task], ours: bool) -> list[Task]:
    """Let the eldest of what one instance's starts hold and of the news be theirs; return the others."""
    holders = {id(slot.task): slot for slot in slots if slot.task is not None}
    order = eldest_first([*news, *(slot.task for slot in slots if slot.task is not None)])
    kept = order[: len(slots)]
    stay = [holders[id(task)] for task in kept if id(task) in holders]
    # A start that ECS refused is given a task last of all: another one may be waiting for it.
    free = sorted((slot for slot in slots if slot not in stay), key=_refused)
    for slot, task in zip(free, [task for task in kept if id(task) not in holders], strict=False):
        slot.task, slot.ours, slot.failure, slot.error = task, ours, None, None
    return order[len(slots) :]


def _refused(slot: Slot) -> bool:
    return slot.failure is not None or slot.error is not None


def _held(slots: list[Slot]) -> dict[str | None, Slot]:
    return {slot.task.task_arn: slot for slot in slots if slot.task is not None and slot.task.task_arn}


def _each_once(tasks: Iterable[Task]) -> list[Task]:
    return eldest_first({task.task_arn or id(task): task for task in tasks}.values())


def _place(what: Task | Failure) -> str:
    named: object = what.container_instance_arn if isinstance(what, Task) else what.arn
    return named if isinstance(named, str) else ""


def _same(instance: str, other: str) -> bool:
    return short(instance) == short(other)


def withdrawn(task: Task, token: str) -> bool:
    """Tell whether aioecs itself stopped the task for this token: such a one is not adopted."""
    return task.stop_code == "UserInitiated" and task.stopped_reason == stop_reason(token)


def on_instances(request: StartTaskRequest | RunTaskRequest, found: Iterable[Task]) -> list[Task]:
    """Return the tasks that stand on an instance of the request; a RunTask names none, so all of them."""
    if isinstance(request, RunTaskRequest):
        return list(found)
    instances = {short(instance) for instance in request.container_instances}
    return [task for task in found if short(task.container_instance_arn or "") in instances]


def strangers(request: StartTaskRequest | RunTaskRequest, found: Iterable[Task]) -> list[Task]:
    """Return the tasks that the request can't have started: another definition, instance, group or overrides."""
    found = list(found)
    near = on_instances(request, found)
    return [task for task in found if task not in near or not _could_start(request, task)]


def _could_start(request: StartTaskRequest | RunTaskRequest, task: Task) -> bool:
    """Tell whether the request can have started the task, by all that ECS shows of it."""
    if request.group is not None and task.group is not None and request.group != task.group:
        return False
    return _of_definition(request, task) and overridden_alike(request.overrides, task.overrides)


def overridden_alike(asked: TaskOverride | None, shown: TaskOverride | None) -> bool:
    """Tell whether overrides are the same in effect: ECS shows empty members, and containers that override nothing."""
    return shown is None or _in_effect(asked) == _in_effect(shown)


def _in_effect(overrides: TaskOverride | None) -> Any:
    plain = to_plain(overrides) if overrides is not None else {}
    containers = {each.get("name"): _told(each) for each in plain.pop("containerOverrides", None) or ()}
    return _told(plain), {name: told for name, told in containers.items() if told.keys() - {"name"}}


def _told(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty; pairs of names and values count in any order."""
    told = {name: value for name, value in plain.items() if value not in (None, [], {}, "")}
    for name in ("environment", "environmentFiles", "resourceRequirements"):
        if name in told:
            told[name] = sorted(map(repr, (sorted(pair.items()) for pair in told[name])))
    return told


def _of_definition(request: StartTaskRequest | RunTaskRequest, task: Task) -> bool:
    asked, has = short(request.task_definition), short(task.task_definition_arn or "")
    return has == asked if ":" in asked else has.partition(":")[0] == asked
