"""state: records, and the shelves that tasks stand on."""

from __future__ import annotations

from aioecs.testing import Engine
from aioecs.testing._world.state import PENDING, RUNNING, STOPPED, Cluster, Definition, Instance, Need, Shelf, Task


def make(seq: int, cluster: Cluster, instance: Instance, started_by: str | None = None) -> Task:
    """Make a task as bare as can be."""
    definition = Definition("f", 1, "d", "bridge", (), None, None, (), (), {}, {}, Need())
    return Task(
        seq, f"t{seq}", f"arn{seq}", cluster, instance, definition, 0.0, started_by, "g", {}, Need(), (), (), {},
        enable_execute_command=False, launch_type="EC2", network=None, call=0,
    )  # fmt: skip


def world() -> tuple[Cluster, Instance]:
    """Make a cluster with an instance."""
    instance = Instance(1, "i", "arn", "i-0", 100, 100, (), None, {}, 0.0, {})
    return Cluster("c", "arn", {}, {"i": instance}), instance


def test_a_task_stands_on_the_shelves_that_lists_look_at() -> None:
    """Cluster, instance and family always; startedBy if it has one."""
    cluster, instance = world()
    assert len(cluster.shelves(make(1, cluster, instance))) == 3
    shelves = cluster.shelves(make(2, cluster, instance, "token"))
    assert shelves == [cluster.shelf, instance.shelf, cluster.by_family["f"], cluster.by_started_by["token"]]


def test_a_page_holds_to_the_order_of_starting_and_to_its_limit() -> None:
    """What stops or starts between two pages shifts nothing."""
    cluster, instance = world()
    tasks = [make(seq, cluster, instance) for seq in range(1, 8)]
    shelf = Shelf()
    assert not shelf
    for task in tasks:
        shelf.add(task)
    assert shelf
    page, more = shelf.page(RUNNING, 0, 3, lambda _: True)
    assert ([task.seq for task in page], more) == ([1, 2, 3], True)
    shelf.stop(tasks[1])
    shelf.stop(tasks[0])
    page, more = shelf.page(RUNNING, 3, 3, lambda task: task.seq != 5)
    assert ([task.seq for task in page], more) == ([4, 6, 7], False)
    page, more = shelf.page(STOPPED, 0, 3, lambda _: True)
    assert ([task.seq for task in page], more) == ([1, 2], False)
    assert shelf.page(PENDING, 0, 3, lambda _: True) == ([], False)
    shelf.forget(tasks[0])
    assert [task.seq for task in shelf.page(STOPPED, 0, 3, lambda _: True)[0]] == [2]


def test_a_task_knows_its_family() -> None:
    """It is its definition's."""
    cluster, instance = world()
    assert make(1, cluster, instance).family == "f"


def test_the_shelves_of_an_engine_empty_themselves() -> None:
    """After a task is forgotten nothing of it is left where lists look, its token's shelf included."""
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
