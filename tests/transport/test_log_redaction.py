"""log_redaction: no secret of ours is in any log, and other users of botocore log as before."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiobotocore.session import AioSession

import aioecs
from aioecs import ContainerOverride, DescribeTasksRequest, KeyValuePair, StartTaskRequest, TaskOverride
from aioecs._transport.log_redaction import redacted_logs
from aioecs.testing import Fault, LocalECS

VALUE, KEY, TOKEN, EXTRA = "value-hunter2", "secret-key-hunter2", "session-token-hunter2", "extra-hunter2"
ACCESS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": KEY,
    "aws_session_token": TOKEN,
}


def request_of(local: LocalECS) -> StartTaskRequest:
    """Make a request with one secret in its environment and another in an unknown member."""
    environment = [KeyValuePair(name="PASSWORD", value=VALUE)]
    override = ContainerOverride(name="main", environment=environment, extra={"newMember": EXTRA})
    return StartTaskRequest(
        task_definition="demo",
        container_instances=local.instance_arns[:1],
        overrides=TaskOverride(container_overrides=[override]),
    )


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Log at DEBUG, from every logger."""
    caplog.set_level(logging.DEBUG)
    return caplog


def logged(log: pytest.LogCaptureFixture) -> str:
    """Return all that was logged: the text with tracebacks, and the raw arguments of each record."""
    raw = [f"{record.msg!r} {record.args!r}" for record in log.records]
    return "\n".join([log.text, *raw])


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("error", when="after"),
        Fault("error", status=400, code="ClientException"),
        Fault("throttle"),
        Fault("reset", when="after"),
        Fault("close", when="unread"),
        Fault("truncated", when="after"),
        Fault("garbage", when="after"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.when}" if fault else "answered",
)
async def test_no_secret_is_logged(local: LocalECS, debug: pytest.LogCaptureFixture, fault: Fault | None) -> None:
    """At DEBUG neither environment values nor credentials are logged, whatever the outcome of the call."""
    if fault is not None:
        local.faults.add(fault)
    clocks = aioecs.Timeouts(consistency=0, call=2)
    async with aioecs.Client(**ACCESS, endpoint_url=local.endpoint_url, timeouts=clocks) as client:
        try:
            await client.start_task(request_of(local))
        except aioecs.ECSError as error:
            logging.getLogger("user").exception("the start failed: %r", error)
        described = [task.arn for task in local.truth.tasks()] or ["0" * 32]
        await client.describe_tasks(DescribeTasksRequest(tasks=described))
    text = logged(debug)
    assert "withheld by aioecs: it may hold secrets" in text
    for secret in (VALUE, KEY, TOKEN, EXTRA):
        assert secret not in text


async def test_another_client_logs_as_before(local: LocalECS, debug: pytest.LogCaptureFixture) -> None:
    """botocore logs another client's requests in full, at the same time and on the same loop."""
    local.faults.add(Fault("delay", seconds=0.05, operation="StartTask"))
    session: Any = AioSession()
    theirs: dict[str, Any] = {"taskDefinition": "demo", "containerInstances": ["plainly-seen".rjust(32, "0")]}

    async with (
        aioecs.Client(**ACCESS, endpoint_url=local.endpoint_url) as client,
        session.create_client("ecs", **ACCESS, endpoint_url=local.endpoint_url) as plain,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(client.start_task(request_of(local)))
            group.create_task(plain.start_task(**theirs))
        await plain.start_task(**theirs)
    text = logged(debug)
    assert text.count("Making request for OperationModel(name=StartTask) with params") >= 2
    assert "plainly-seen" in text
    assert VALUE not in text


async def test_the_raw_client_logs_as_botocore_does(local: LocalECS, debug: pytest.LogCaptureFixture) -> None:
    """Requests of `client.raw` are the user's own: nothing is redacted."""
    async with aioecs.Client(**ACCESS, endpoint_url=local.endpoint_url) as client:
        await client.raw.list_tasks(startedBy="plainly-seen")
    assert "plainly-seen" in debug.text


LOGGERS = ["botocore.endpoint", "botocore.auth", "botocore.parsers", "botocore.httpsession"]


@pytest.mark.parametrize("name", LOGGERS)
def test_what_is_redacted(debug: pytest.LogCaptureFixture, name: str) -> None:
    """Within the block a message loses its arguments; outside, and without arguments, it is unchanged."""
    logger = logging.getLogger(name)
    with redacted_logs():
        logger.debug("Request headers: %s and %s", VALUE, KEY)
        logger.debug("No retry needed.")
    logger.debug("Request headers: %s", "theirs")
    assert [record.getMessage() for record in debug.records] == [
        "Request headers: (withheld by aioecs: it may hold secrets)",
        "No retry needed.",
        "Request headers: theirs",
    ]


def test_the_filter_is_added_once() -> None:
    """However many requests are made, a logger has one filter of aioecs."""
    for _ in range(3):
        with redacted_logs():
            pass
    for name in LOGGERS:
        filters = logging.getLogger(name).filters
        assert len([each for each in filters if getattr(each, "__module__", "") == redacted_logs.__module__]) == 1


def test_nested_blocks(debug: pytest.LogCaptureFixture) -> None:
    """Leaving an inner block does not end the outer one."""
    with redacted_logs():
        with redacted_logs():
            pass
        logging.getLogger("botocore.auth").debug("StringToSign:\n%s", VALUE)
    assert VALUE not in debug.text
