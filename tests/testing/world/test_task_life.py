"""task_life: the steps of a task, with counts and room kept in step."""

from __future__ import annotations

import pytest

from aioecs.testing._placement.capacity import take
from aioecs.testing._world import task_life
from aioecs.testing._world.state import PENDING, RUNNING, STOPPED, STOPPING, Cluster, Definition, Instance, Need, Task


def start(started_by: str | None = "token") -> Task:
    """Make a task that has just been started, on an instance of its own."""
    need = Need(cpu=10, memory=20)
    instance = Instance(1, "i", "arn", "i-0", 100, 100, (), None, {}, 0.0, {})
    cluster = Cluster("c", "arn", {}, {"i": instance})
    task = Task(
        1, "t", "arn", cluster, instance, Definition("f", 1, "d", "bridge", (), None, None, (), (), {}, {}, need),
        5.0, started_by, "g", {}, need, take(instance, need), (), {},
        enable_execute_command=False, launch_type="EC2", network=None, call=0,
    )  # fmt: skip
    task_life.place(task)
    return task


def counts(task: Task) -> tuple[int, int, int, int]:
    """Give pending and running of the cluster and the CPU in use; cluster and instance must agree."""
    assert task.instance is not None
    assert (task.cluster.pending, task.cluster.running) == (task.instance.pending, task.instance.running)
    return task.cluster.pending, task.cluster.running, task.instance.used_cpu, task.version


def test_a_life_from_start_to_oblivion() -> None:
    """Each step moves the status, the counts, the shelves and the version, and takes its moment."""
    task = start()
    assert (task.last_status, counts(task)) == (PENDING, (1, 0, 10, 1))
    assert task_life.run(task, 6.0)
    assert (task.last_status, task.started_at, counts(task)) == (RUNNING, 6.0, (0, 1, 10, 2))
    assert task_life.ask_to_stop(task, 7.0, "UserInitiated", "why")
    assert (task.last_status, task.desired_status, counts(task)) == (STOPPING, STOPPED, (0, 0, 10, 3))
    assert (task.stopping_at, task.stop_code, task.stopped_reason) == (7.0, "UserInitiated", "why")
    assert not task.cluster.shelf.live
    task_life.stopped(task, 8.0, 3)
    assert (task.last_status, task.stopped_at, task.exit_code, counts(task)) == (STOPPED, 8.0, 3, (0, 0, 0, 4))
    task_life.forget(task)
    assert not task.cluster.tasks
    assert not task.cluster.by_started_by
    assert task.instance is not None
    assert not task.instance.shelf


def test_a_task_that_never_ran_has_no_exit_code() -> None:
    """Absent, not zero."""
    task = start()
    assert task_life.ask_to_stop(task, 6.0, "UserInitiated", "why")
    assert counts(task) == (0, 0, 10, 2)
    task_life.stopped(task, 6.0, task_life.KILLED)
    assert task.exit_code is None


def test_a_step_that_is_not_due_changes_nothing() -> None:
    """Steps may come late or twice."""
    task = start()
    assert task_life.run(task, 6.0)
    assert not task_life.run(task, 7.0)
    assert task_life.ask_to_stop(task, 8.0, "UserInitiated", "why")
    assert not task_life.ask_to_stop(task, 9.0, "Other", "other")
    assert (task.stopping_at, task.stop_code, task.version) == (8.0, "UserInitiated", 3)


@pytest.mark.parametrize("started_by", [None, "token"])
def test_forgetting_leaves_the_shelves_of_others(started_by: str | None) -> None:
    """A token's shelf goes with its last task only."""
    task = start(started_by)
    other = start(started_by)
    other.cluster, other.instance, other.seq, other.id = task.cluster, task.instance, 2, "t2"
    task_life.place(other)
    task_life.ask_to_stop(task, 6.0, "UserInitiated", "why")
    task_life.stopped(task, 6.0, None)
    task_life.forget(task)
    assert list(task.cluster.tasks) == ["t2"]
    assert bool(task.cluster.by_started_by) is (started_by is not None)
