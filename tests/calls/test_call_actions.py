"""call_actions: what is looked up for a call, which stops were accepted, and what a send that was cut short means."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from aioecs import Retries, StartTaskRequest, Task, Timeouts
from aioecs._calls.call_actions import ambiguous_call_of, result_of_cut_send, stop_tasks
from aioecs._logic.calls.actions import LookUp
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import Lost, NotSent
from aioecs.errors import ClientException


def a_record(*, adopts: bool = True) -> CallRecord:
    """Make the record of a call of two starts."""
    return CallRecord(
        request=StartTaskRequest(task_definition="demo", container_instances=["a", "b"], cluster="c"),
        token="aioecs-t",
        timeouts=Timeouts(),
        retries=Retries(),
        delivery="at_most_once",
        deadline=90.0,
        adopts=adopts,
    )


@pytest.mark.parametrize(("adopts", "token"), [(True, "aioecs-t"), (False, "mine")])
def test_what_is_looked_up(adopts: bool, token: str) -> None:
    """The call's token, or the caller's own `started_by`; a refused start needs no lookup."""
    record = a_record(adopts=adopts)
    record.was_sent = True
    record.start_states[1].error = ClientException("refused")
    expected = AmbiguousCall(token, "mine", ("a",), confirm=True, sent=True)
    assert ambiguous_call_of(record, "mine", LookUp(confirm=True)) == expected


def test_accepted_stops_are_named() -> None:
    """All are tried, within the time of the call, and those that ECS accepted are named."""
    stops: list[tuple[Any, ...]] = []

    class Core:
        timeouts, now = Timeouts(), 50.0

        async def stop(self, cluster: str, task: Task, token: str, *, within: float) -> bool:
            stops.append((cluster, token, within))
            return task.task_arn == "1"

    tasks = (Task(task_arn="1"), Task(task_arn="2"))
    stopped = asyncio.run(stop_tasks(cast("Any", Core()), a_record(), tasks))
    assert (sorted(stopped.tried), sorted(stopped.accepted)) == (["1", "2"], ["1"])
    assert stops == [("c", "aioecs-t", 40.0)] * 2


@pytest.mark.parametrize(("sent", "kind"), [(True, Lost), (False, NotSent)])
def test_a_cut_send(sent: bool, kind: type) -> None:
    """It is ambiguous once a byte of the body was written, and certainly not sent before."""
    result = result_of_cut_send(a_record(), sent=sent)
    assert type(result) is kind
    assert "StartTask was " in str(result.error)
