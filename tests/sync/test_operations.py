"""operations: the blocking client answers, waits and runs as the async one does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import attrs
import pytest
from threaded_ecs import request

import aioecs
import aioecs.sync
from aioecs import (
    InvalidRequest,
    StartTaskRequest,
)
from aioecs.testing import LocalECS


def test_operations_answer_as_the_async_ones_do(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Each of them, once round."""
    started = ecs.start_task(request(there, 2, started_by="us"))
    report = ecs.start_tasks(
        [request(there), request(there, 3)], idempotency_key=lambda r: f"k{len(r.container_instances)}"
    )
    placed = ecs.place_tasks(StartTaskRequest(task_definition="demo"), count=4, placement=aioecs.Binpack("memory"))
    ran = ecs.run_task(aioecs.RunTaskRequest(task_definition="demo", count=2, launch_type="EC2"))
    assert [len(answer.tasks) for answer in (started, report, placed, ran)] == [2, 4, 4, 2]
    assert len(ecs.list_tasks().task_arns) == 12
    assert len(ecs.list_tasks(aioecs.ListTasksRequest(started_by="us")).task_arns) == 2
    arns = ecs.list_container_instances().container_instance_arns
    assert set(arns) == set(there.instance_arns)
    hosts = ecs.describe_container_instances(aioecs.DescribeContainerInstancesRequest(container_instances=arns))
    assert len(hosts.container_instances) == 3
    demo = ecs.describe_task_definition(aioecs.DescribeTaskDefinitionRequest(task_definition="demo"))
    assert demo.task_definition is not None
    arn = started.tasks[0].task_arn or ""
    ecs.stop_task(aioecs.StopTaskRequest(task=arn))
    (task,) = ecs.describe_tasks(aioecs.DescribeTasksRequest(tasks=[arn])).tasks
    assert task.desired_status == "STOPPED"


def test_it_waits_and_watches(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Until they run, until they have stopped, and each change; a loop that is left ends its watch."""
    tasks = ecs.start_task(request(there, 2)).tasks
    running = ecs.wait_until_running(tasks, timeout=20)
    assert [task.task_arn for task in running] == [task.task_arn for task in tasks]
    for task in ecs.watch([task.task_arn or "" for task in running], timeout=20):
        assert task.last_status == "RUNNING"
        break
    for task in running:
        ecs.stop_task(aioecs.StopTaskRequest(task=task.task_arn or ""))
    assert {task.last_status for task in ecs.watch(running, timeout=20)} == {"STOPPED"}
    assert {task.last_status for task in ecs.wait_until_stopped(running, timeout=20)} == {"STOPPED"}
    with pytest.raises(InvalidRequest, match="timeout"):
        next(ecs.watch(running, timeout=-1))


def test_it_is_fed_from_a_thread(ecs: aioecs.sync.Client) -> None:
    """What is no event of a task's is passed over, and rubbish is refused."""
    assert ecs.feed({"detail-type": "Another", "source": "aws.ecs", "detail": {}}) is False
    with pytest.raises(InvalidRequest):
        ecs.feed("rubbish")


def test_errors_are_the_async_ones(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """Raised in the calling thread."""
    with pytest.raises(aioecs.ClientException):
        ecs.start_task(StartTaskRequest(task_definition="gone", container_instances=there.instance_arns[:1]))
    with pytest.raises(InvalidRequest, match="container_instances"):
        ecs.start_task(StartTaskRequest(task_definition="demo", container_instances=[]))
    assert there.truth.tasks() == []


def test_it_runs_tasks_to_their_end(there: LocalECS, ecs: aioecs.sync.Client) -> None:
    """One, and many that are drawn in the calling thread."""
    there.engine.behaviour = attrs.evolve(there.engine.behaviour, running_seconds=0.0, exit_code=3)
    one = request(there)
    result = ecs.run(one, timeout=30)
    assert (result.succeeded, result.exit_code) == (False, 3)
    assert ecs.task_result(result.task) == result
    threads: set[int] = set()

    def requests() -> Iterator[aioecs.StartTaskRequest]:
        for _ in range(3):
            threads.add(threading.get_ident())
            yield one

    report = ecs.run_all(requests(), timeout=30)
    assert [run.succeeded for run in report.runs] == [False] * 3
    assert threads == {threading.get_ident()}
