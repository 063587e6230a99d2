"""The lifecycle of a task: (PROVISIONING →) PENDING → RUNNING → (STOPPING →) STOPPED → removed.

Each function carries out one transition at a given time; `Account` decides when it is due. Only this module updates
the counts, the task indexes and the instance's resources that follow from a task's status.
"""

from __future__ import annotations

from aioecs.testing._placement.capacity import release, reserve
from aioecs.testing._state.records import PENDING, PROVISIONING, RUNNING, STOPPED, STOPPING, Instance, Task

KILLED = 137  # 128 + SIGKILL: what docker reports for a container that did not heed SIGTERM


def add(task: Task) -> None:
    """Add a task that has just been started; its resources are reserved already."""
    for index in task.cluster.indexes(task):
        index.add(task)
    task.cluster.tasks[task.id] = task
    _count(task, pending=+1)


def assign_instance(task: Task, instance: Instance) -> None:
    """Assign a provisioning task to an instance with enough resources, and reserve them."""
    task.instance, task.gpu_ids = instance, reserve(instance, task.need)
    instance.version += 1


def set_pending(task: Task) -> None:
    """Set a provisioning task PENDING, and count it at its instance if it has one."""
    task.last_status = PENDING
    task.version += 1
    if task.instance is not None:
        task.instance.task_index.add(task)
        task.instance.pending += 1


def set_running(task: Task, at: float) -> bool:
    """Set a pending task RUNNING; returns False, without effect, for any other."""
    if task.last_status != PENDING:
        return False
    task.last_status, task.started_at = RUNNING, at
    task.version += 1
    _count(task, pending=-1, running=+1)
    return True


def begin_stopping(task: Task, at: float, code: str, reason: str) -> bool:
    """Begin to stop a task; returns False, without effect, if that has already begun."""
    if task.desired_status == STOPPED:
        return False
    _uncount(task)
    task.desired_status, task.last_status = STOPPED, STOPPING
    task.stopping_at, task.stop_code, task.stopped_reason = at, code, reason
    task.version += 1
    for index in task.cluster.indexes(task):
        index.stop(task)
    return True


def set_stopped(task: Task, at: float, exit_code: int | None) -> None:
    """Set a stopping task STOPPED and release its resources. A container that never ran has no exit code."""
    task.last_status, task.stopped_at = STOPPED, at
    task.exit_code = exit_code if task.started_at is not None else None
    task.version += 1
    if task.instance is not None:
        release(task.instance, task.need, task.gpu_ids)
        task.instance.version += 1


def remove(task: Task) -> None:
    """Remove a stopped task, as ECS does about an hour after its end."""
    cluster = task.cluster
    for index in cluster.indexes(task):
        index.remove(task)
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
