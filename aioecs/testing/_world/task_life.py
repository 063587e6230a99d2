"""The life of a task: (PROVISIONING →) PENDING → RUNNING → (STOPPING →) STOPPED → forgotten.

Nothing here waits. Each step takes the moment at which it happened; `_world` finds out which steps are due. Counts,
shelves and the instance's room are kept in step with the task, and nowhere else.
"""

from __future__ import annotations

from aioecs.testing._placement.capacity import release, take
from aioecs.testing._world.state import PENDING, PROVISIONING, RUNNING, STOPPED, STOPPING, Instance, Task

KILLED = 137  # 128 + SIGKILL: what docker reports for a container that did not heed SIGTERM


def place(task: Task) -> None:
    """Count a task in that has just been started; its room has been taken already."""
    for shelf in task.cluster.shelves(task):
        shelf.add(task)
    task.cluster.tasks[task.id] = task
    _count(task, pending=+1)


def assign(task: Task, instance: Instance) -> None:
    """Give a provisioning task its instance, which must have room, and take what it needs there."""
    task.instance, task.gpu_ids = instance, take(instance, task.need)
    instance.version += 1


def provision(task: Task) -> None:
    """Let a provisioning task be PENDING, for its infrastructure is there; one with an instance is counted there."""
    task.last_status = PENDING
    task.version += 1
    if task.instance is not None:
        task.instance.shelf.add(task)
        task.instance.pending += 1


def run(task: Task, at: float) -> bool:
    """Let a pending task run; return whether it was one."""
    if task.last_status != PENDING:
        return False
    task.last_status, task.started_at = RUNNING, at
    task.version += 1
    _count(task, pending=-1, running=+1)
    return True


def ask_to_stop(task: Task, at: float, code: str, reason: str) -> bool:
    """Begin stopping a task; return False, changing nothing, when that has already begun."""
    if task.desired_status == STOPPED:
        return False
    _uncount(task)
    task.desired_status, task.last_status = STOPPED, STOPPING
    task.stopping_at, task.stop_code, task.stopped_reason = at, code, reason
    task.version += 1
    for shelf in task.cluster.shelves(task):
        shelf.stop(task)
    return True


def stopped(task: Task, at: float, exit_code: int | None) -> None:
    """End a stopping task and free its room. A container that never ran has no exit code."""
    task.last_status, task.stopped_at = STOPPED, at
    task.exit_code = exit_code if task.started_at is not None else None
    task.version += 1
    if task.instance is not None:
        release(task.instance, task.need, task.gpu_ids)
        task.instance.version += 1


def forget(task: Task) -> None:
    """Drop a stopped task, as ECS does about an hour after its end."""
    cluster = task.cluster
    for shelf in cluster.shelves(task):
        shelf.forget(task)
    del cluster.tasks[task.id]
    if task.started_by is not None and not cluster.by_started_by[task.started_by]:
        del cluster.by_started_by[task.started_by]


def _uncount(task: Task) -> None:
    if task.last_status in (PROVISIONING, PENDING):
        _count(task, pending=-1)
    else:
        _count(task, running=-1)


def _count(task: Task, *, pending: int = 0, running: int = 0) -> None:
    for counted in (task.cluster, task.instance):
        if counted is not None:
            counted.pending += pending
            counted.running += running
