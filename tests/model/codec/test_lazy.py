"""lazy: what is read from the bytes later is what stood there at first."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from aioecs._model import Failure, StartTaskResponse, Task
from aioecs._model.codec.lazy import EagerMembers, decode_lazily
from aioecs._model.codec.plain import from_plain

EAGER = EagerMembers(
    "tasks",
    "tasks",
    Task,
    {"task_arn": "taskArn", "container_instance_arn": "containerInstanceArn"},
    ("created_at", "createdAt"),
    {"failures": "failures"},
)
PLAIN: dict[str, Any] = {
    "tasks": [
        {
            "taskArn": f"task-{number}",
            "containerInstanceArn": None if number else "host",
            "createdAt": 1.5,
            "newer": [number],
            "containers": [{"name": "main", "exitCode": number, "networkBindings": [{"hostPort": 80}]}, "odd"],
        }
        for number in range(3)
    ],
    "failures": [{"arn": "other", "reason": "AGENT"}],
    "newer": 1,
}


class Bytes:
    """An answer's bytes, and how often they were read again."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self.text = json.dumps(plain)
        self.read = 0

    def answer(self) -> StartTaskResponse:
        """Read it by its heads."""
        return decode_lazily(StartTaskResponse, json.loads(self.text), EAGER, self.text.encode(), self._again)

    def _again(self, body: bytes) -> dict[str, Any]:
        self.read += 1
        whole: dict[str, Any] = json.loads(body)
        return whole


def test_it_is_the_same_value() -> None:
    """Compared, shown, copied, pickled or with a change: it is what `from_plain` makes."""
    eager = from_plain(StartTaskResponse, PLAIN)
    assert Bytes(PLAIN).answer() == eager
    assert repr(Bytes(PLAIN).answer()) == repr(eager)
    assert pickle.loads(pickle.dumps(Bytes(PLAIN).answer())) == eager  # noqa: S301 our own
    assert copy.deepcopy(Bytes(PLAIN).answer()) == eager
    assert Bytes(PLAIN).answer().replace(token="t") == eager.replace(token="t")
    assert Bytes(PLAIN).answer().tasks[1].replace(cpu="1") == eager.tasks[1].replace(cpu="1")
    assert Bytes(PLAIN).answer().failures == (Failure(arn="other", reason="AGENT"),)


def test_the_eager_members_cost_no_second_reading_and_the_others_one() -> None:
    """The first of the tasks that is asked for more reads for all of them, once."""
    given = Bytes(PLAIN)
    tasks = given.answer().tasks
    assert [(task.task_arn, task.container_instance_arn) for task in tasks] == [
        ("task-0", "host"),
        ("task-1", None),
        ("task-2", None),
    ]
    assert [task.created_at for task in tasks] == [datetime.fromtimestamp(1.5, UTC)] * 3
    assert given.read == 0
    assert [task.extra for task in tasks] == [{"newer": [0]}, {"newer": [1]}, {"newer": [2]}]
    assert tasks[2].containers is tasks[2].containers
    assert given.read == 1


def test_nothing_of_the_tree_is_kept() -> None:
    """Of a task that nobody has asked for more, the collector meets a handful of objects, whatever is in it."""
    task = Bytes(PLAIN).answer().tasks[0]
    met: list[Any] = gc.get_referents(task)
    beneath = [found for one in met for found in gc.get_referents(one) if not isinstance(found, type)]
    assert not any(isinstance(found, dict) and "createdAt" in found for found in [*met, *beneath])
    assert task.containers[0].exit_code == 0


def test_a_value_of_it_is_frozen_and_has_no_other_members() -> None:
    """As every value of the model."""
    task = Bytes(PLAIN).answer().tasks[0]
    assert not hasattr(task, "no_such_member")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        task.cpu = "2"  # type: ignore[misc]


@pytest.mark.parametrize("tasks", [None, "none", 17, {}, [], [17, None, {"taskArn": "one"}, "odd", {}]])
def test_what_is_odd_is_kept_as_it_is(tasks: Any) -> None:
    """A list that is none, and what is no object in it, is what `from_plain` makes of it."""
    plain = {"tasks": tasks, "failures": []}
    assert Bytes(plain).answer() == from_plain(StartTaskResponse, plain)
    assert Bytes({"failures": []}).answer() == StartTaskResponse()


@pytest.mark.parametrize("created", [None, "soon", {}, [1], 1.5, "2026-11-28T02:00:00Z"])
def test_a_member_that_is_decoded_when_asked_for_is_what_from_plain_makes(created: Any) -> None:
    """Before the rest is decoded and after it, whatever stands there."""
    plain = {"tasks": [{"taskArn": "one", "createdAt": created}]}
    (expected,) = from_plain(StartTaskResponse, plain).tasks
    given = Bytes(plain)
    (task,) = given.answer().tasks
    assert task.created_at == expected.created_at
    assert given.read == 0
    (task,) = given.answer().tasks
    assert (task.cpu, task.created_at) == (expected.cpu, expected.created_at)
    assert given.read == 1
