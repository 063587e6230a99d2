"""records: clusters, tasks, and the indexes of tasks."""

from __future__ import annotations

from aioecs.testing import Engine
from aioecs.testing._state.records import (
    PENDING,
    RUNNING,
    STOPPED,
    Cluster,
    Definition,
    Instance,
    Need,
    Task,
    TaskIndex,
)


def make(seq: int, cluster: Cluster, instance: Instance, started_by: str | None = None) -> Task:
    """Return a task with minimal members."""
    definition = Definition("f", 1, "d", "bridge", (), None, None, (), (), {}, {}, Need())
    return Task(
        seq, f"t{seq}", f"arn{seq}", cluster, instance, definition, 0.0, started_by, "g", {}, Need(), (), (), {},
        enable_execute_command=False, launch_type="EC2", network=None, call=0,
    )  # fmt: skip


def cluster_and_instance() -> tuple[Cluster, Instance]:
    """Return a cluster with an instance."""
    instance = Instance(1, "i", "arn", "i-0", 100, 100, (), None, {}, 0.0, {})
    return Cluster("c", "arn", {}, {"i": instance}), instance


def test_a_task_is_in_the_indexes_that_lists_use() -> None:
    """Those of cluster, instance and family; that of startedBy if it has one."""
    cluster, instance = cluster_and_instance()
    assert len(cluster.indexes(make(1, cluster, instance))) == 3
    indexes = cluster.indexes(make(2, cluster, instance, "token"))
    assert indexes == [cluster.task_index, instance.task_index, cluster.by_family["f"], cluster.by_started_by["token"]]


def test_a_page_is_in_order_of_starting_and_within_its_limit() -> None:
    """A stop or start between two pages shifts nothing."""
    cluster, instance = cluster_and_instance()
    tasks = [make(seq, cluster, instance) for seq in range(1, 8)]
    index = TaskIndex()
    assert not index
    for task in tasks:
        index.add(task)
    assert index
    page, more = index.page(RUNNING, 0, 3, lambda _: True)
    assert ([task.seq for task in page], more) == ([1, 2, 3], True)
    index.stop(tasks[1])
    index.stop(tasks[0])
    page, more = index.page(RUNNING, 3, 3, lambda task: task.seq != 5)
    assert ([task.seq for task in page], more) == ([4, 6, 7], False)
    page, more = index.page(STOPPED, 0, 3, lambda _: True)
    assert ([task.seq for task in page], more) == ([1, 2], False)
    assert index.page(PENDING, 0, 3, lambda _: True) == ([], False)
    index.remove(tasks[0])
    assert [task.seq for task in index.page(STOPPED, 0, 3, lambda _: True)[0]] == [2]


def test_a_task_knows_its_family() -> None:
    """It is that of its definition."""
    cluster, instance = cluster_and_instance()
    assert make(1, cluster, instance).family == "f"


def test_a_removed_task_leaves_no_index_entries() -> None:
    """Not even in the index of its startedBy."""
    now = [0.0]
    engine = Engine(clock=lambda: now[0])
    engine.add_cluster()
    engine.add_task_definition("demo")
    engine.add_instances()
    arns = engine.instance_arns()
    task = engine.call("StartTask", {"taskDefinition": "demo", "containerInstances": arns, "startedBy": "t"})["tasks"][
        0
    ]
    engine.call("StopTask", {"task": task["taskArn"]})
    now[0] = 3600.0
    assert engine.call("ListTasks", {"startedBy": "t", "desiredStatus": "STOPPED"}) == {"taskArns": []}
