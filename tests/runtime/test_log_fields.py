"""log_fields: what every log record of the library has beside its text, without secrets."""

from __future__ import annotations

import json
import logging
from typing import Any

import attrs
import pytest
from fake_batch import make_request, with_client
from fake_transport import FakeTransport, HeldAttempt, fake_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import ContainerOverride, Outcome, StartResult, Task, TaskOverride
from aioecs._model.call_events import (
    CallAmbiguous,
    CallBegun,
    CallSettled,
    JobAttempted,
    RequestRejected,
    StartSettled,
    StopSettled,
    TaskAdopted,
    WaitSettled,
)
from aioecs._runtime.log_fields import DEFAULTS, fields_of_event, fields_of_starts
from aioecs.errors import ConnectionFailed

SECRET = TaskOverride(container_overrides=[ContainerOverride(name="main", environment={"PASSWORD": "canary"})])
REQUEST = make_request("i-1", cluster="blue", overrides=SECRET)
START = StartResult(request=REQUEST, container_instance="i-1", outcome=Outcome.STARTED, token="aioecs-1")


class JsonFormatter(logging.Formatter):
    """A formatter of a user's: the fields of a record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({name: getattr(record, name) for name in DEFAULTS})


def test_a_record_without_facts_has_every_field(caplog: pytest.LogCaptureFixture) -> None:
    """So a format may name any of them."""
    logging.getLogger("aioecs").warning("plain")
    (record,) = caplog.records
    assert {name: getattr(record, name) for name in DEFAULTS} == DEFAULTS
    assert logging.Formatter("%(token)s %(outcome)s %(message)s").format(record) == "None None plain"


def test_fields_of_starts() -> None:
    """Each token and cluster once, every ARN, and the gravest outcome."""
    running = attrs.evolve(START, task=Task(task_arn="arn:1"))
    unknown = attrs.evolve(START, outcome=Outcome.UNKNOWN, token="aioecs-2", error=ConnectionFailed("no"))
    assert fields_of_starts([running, unknown]) == {
        "token": "aioecs-1, aioecs-2",
        "arns": ("arn:1",),
        "cluster": "blue",
        "operation": "StartTask",
        "outcome": "unknown",
        "error": "ConnectionFailed",
    }
    assert fields_of_starts([])["outcome"] is None


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (
            CallBegun(call=7, token="t", cluster="blue", task_definition="demo", starts=1, operation="RunTask"),
            {"event": "CallBegun", "call": 7, "token": "t", "cluster": "blue", "operation": "RunTask"},
        ),
        (
            CallSettled(
                call=7,
                token="t",
                outcomes=(Outcome.STARTED, Outcome.REFUSED),
                task_arns=("arn:1",),
                withdrawn=None,
            ),
            {"event": "CallSettled", "call": 7, "token": "t", "arns": ("arn:1",), "outcome": "started"},
        ),
        (
            StartSettled(outcome=Outcome.STOPPED, container_instance="i", token="t", task_arn="arn:1"),
            {"event": "StartSettled", "token": "t", "arns": ("arn:1",), "outcome": "stopped"},
        ),
        (TaskAdopted(call=7, task_arns=("arn:1",)), {"event": "TaskAdopted", "call": 7, "arns": ("arn:1",)}),
        (CallAmbiguous(call=7, error="AnswerLost"), {"event": "CallAmbiguous", "call": 7, "error": "AnswerLost"}),
        (
            RequestRejected(call=7, request_id="r", code="ClientException"),
            {"event": "RequestRejected", "call": 7, "error": "ClientException"},
        ),
        (
            StopSettled(task="t-1", cluster="blue", error="AnswerLost", seconds=1.0),
            {"event": "StopSettled", "cluster": "blue", "error": "AnswerLost"},
        ),
        (
            WaitSettled(goal="RUNNING", tasks=("t-1",), error="WaitTimeout", seconds=1.0),
            {"event": "WaitSettled", "error": "WaitTimeout"},
        ),
        (
            JobAttempted(queue="q", message_id="m", outcome="started", task_arns=("arn:1",), seconds=1.0),
            {"event": "JobAttempted", "queue": "q", "message_id": "m", "arns": ("arn:1",), "outcome": "started"},
        ),
    ],
)
def test_fields_of_an_event(event: Any, fields: dict[str, Any]) -> None:
    """What it knows, by the names that all records use."""
    assert fields_of_event(event) == fields


def test_a_json_formatter_writes_every_record(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, of a start and of a cancelled one: tokens, tasks, outcomes, and no secret."""
    caplog.set_level(logging.DEBUG, "aioecs")

    async def work(client: aioecs.Client, *_: object) -> None:
        await client.start_task(REQUEST)

    async def cancelled() -> None:
        held = HeldAttempt()
        clocks = aioecs.Timeouts(settle=1, drain=1)
        async with fake_client(FakeTransport(start_task=held), timeouts=clocks) as client:
            with pytest.raises(aioecs.StartTimeout):
                await client.start_task(REQUEST, timeout=1)

    with_client(work)
    run_in_virtual_time(cancelled())
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    settled = [line for line in lines if line["event"] == "StartSettled"]
    assert [line["outcome"] for line in settled] == ["started", "unknown"]
    assert settled[0]["token"]
    assert settled[0]["arns"]
    ended = [line for line in lines if line["event"] is None and line["outcome"] == "unknown"]
    assert {line["token"] for line in ended} == {settled[1]["token"]}
    assert {line["cluster"] for line in ended} == {"blue"}
    assert "canary" not in caplog.text + json.dumps(lines)
