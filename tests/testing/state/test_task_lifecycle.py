"""task_lifecycle: the transitions of a task, with counts and resources updated."""

from __future__ import annotations

import pytest

from aioecs.testing._placement.capacity import reserve
from aioecs.testing._state import task_lifecycle
from aioecs.testing._state.records import PENDING, RUNNING, STOPPED, STOPPING, Cluster, Definition, Instance, Need, Task


def start(started_by: str | None = "token") -> Task:
    """Return a task that has just been started, on its own instance."""
    need = Need(cpu=10, memory=20)
    instance = Instance(1, "i", "arn", "i-0", 100, 100, (), None, {}, 0.0, {})
    cluster = Cluster("c", "arn", {}, {"i": instance})
    task = Task(
        1, "t", "arn", cluster, instance, Definition("f", 1, "d", "bridge", (), None, None, (), (), {}, {}, need),
        5.0, started_by, "g", {}, need, reserve(instance, need), (), {},
        enable_execute_command=False, launch_type="EC2", network=None, call=0,
    )  # fmt: skip
    task_lifecycle.add(task)
    return task


def counts(task: Task) -> tuple[int, int, int, int]:
    """Return pending and running counts, CPU in use and version; checks that cluster and instance agree."""
    assert task.instance is not None
    assert (task.cluster.pending, task.cluster.running) == (task.instance.pending, task.instance.running)
    return task.cluster.pending, task.cluster.running, task.instance.used_cpu, task.version


def test_a_task_from_start_to_removal() -> None:
    """Each transition updates status, counts, indexes and version, and sets its time."""
    task = start()
    assert (task.last_status, counts(task)) == (PENDING, (1, 0, 10, 1))
    assert task_lifecycle.set_running(task, 6.0)
    assert (task.last_status, task.started_at, counts(task)) == (RUNNING, 6.0, (0, 1, 10, 2))
    assert task_lifecycle.begin_stopping(task, 7.0, "UserInitiated", "why")
    assert (task.last_status, task.desired_status, counts(task)) == (STOPPING, STOPPED, (0, 0, 10, 3))
    assert (task.stopping_at, task.stop_code, task.stopped_reason) == (7.0, "UserInitiated", "why")
    assert not task.cluster.task_index.live
    task_lifecycle.set_stopped(task, 8.0, 3)
    assert (task.last_status, task.stopped_at, task.exit_code, counts(task)) == (STOPPED, 8.0, 3, (0, 0, 0, 4))
    task_lifecycle.remove(task)
    assert not task.cluster.tasks
    assert not task.cluster.by_started_by
    assert task.instance is not None
    assert not task.instance.task_index


def test_a_task_that_never_ran_has_no_exit_code() -> None:
    """Absent, not zero."""
    task = start()
    assert task_lifecycle.begin_stopping(task, 6.0, "UserInitiated", "why")
    assert counts(task) == (0, 0, 10, 2)
    task_lifecycle.set_stopped(task, 6.0, task_lifecycle.KILLED)
    assert task.exit_code is None


def test_a_transition_that_does_not_apply_has_no_effect() -> None:
    """Transitions may come late or twice."""
    task = start()
    assert task_lifecycle.set_running(task, 6.0)
    assert not task_lifecycle.set_running(task, 7.0)
    assert task_lifecycle.begin_stopping(task, 8.0, "UserInitiated", "why")
    assert not task_lifecycle.begin_stopping(task, 9.0, "Other", "other")
    assert (task.stopping_at, task.stop_code, task.version) == (8.0, "UserInitiated", 3)


@pytest.mark.parametrize("started_by", [None, "token"])
def test_removing_a_task_keeps_the_index_entries_of_others(started_by: str | None) -> None:
    """A token's index is deleted with its last task only."""
    task = start(started_by)
    other = start(started_by)
    other.cluster, other.instance, other.seq, other.id = task.cluster, task.instance, 2, "t2"
    task_lifecycle.add(other)
    task_lifecycle.begin_stopping(task, 6.0, "UserInitiated", "why")
    task_lifecycle.set_stopped(task, 6.0, None)
    task_lifecycle.remove(task)
    assert list(task.cluster.tasks) == ["t2"]
    assert bool(task.cluster.by_started_by) is (started_by is not None)
