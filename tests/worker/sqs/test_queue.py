"""The requests to SQS, and what their answers mean."""

from __future__ import annotations

import json
import random
from typing import Any, cast

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import EndpointConnectionError
from fake_sqs import URL, FakeSQS, sqs_error
from moto_queue import SESSION
from raw_server import Exchange, RawServer
from virtual_time import run_in_virtual_time

from aioecs.errors import ConfigurationError
from aioecs.worker import Message, QueueError
from aioecs.worker._sqs.queue import LONG_POLL, Queue


def messages(count: int) -> list[Message]:
    """Make so many."""
    return [Message(id=f"m{n}", body="", receipt=f"r{n}") for n in range(count)]


# SQS -----------------------------------------------------------------------------------------------------------------


async def test_it_is_opened_by_the_session() -> None:
    """At its endpoint; requests may be repeated, and a long poll ends before the timeout."""
    opened: dict[str, Any] = {}

    class Session:
        def create_client(self, service: str, **how: Any) -> Any:
            opened.update(how, service=service)

    Queue.open_client(None, cast("Any", Session()), "http://sqs", "eu-west-1")
    config = opened.pop("config")
    assert opened == {"service": "sqs", "endpoint_url": "http://sqs", "region_name": "eu-west-1"}
    assert config.read_timeout > LONG_POLL
    assert config.retries["total_max_attempts"] > 1


@pytest.mark.parametrize(
    ("receives", "answer", "most", "expected"),
    [
        (5, None, 5, ""),
        (None, None, None, ""),
        (
            5,
            sqs_error("AccessDenied"),
            None,
            "the redrive policy of http://sqs/queue can't be read: get_queue",
        ),
        (5, 60.0, None, "can't be read: TimeoutError"),
    ],
)
def test_the_redrive_policy(
    receives: int | None, answer: Any, most: int | None, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After how many receives it takes a message; a worker does without it where it may not be read."""

    async def scene() -> int | None:
        sqs = FakeSQS(receives=receives, get_queue_attributes=[answer] if answer is not None else [])
        return await Queue(sqs, URL).most_receives()

    assert run_in_virtual_time(scene()) == most
    assert expected in caplog.text
    assert bool(caplog.records) is bool(expected)


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"])
def test_a_queue_that_isn_t_there(code: str) -> None:
    """By each of its codes, it is a matter of settings."""
    queue = Queue(FakeSQS(get_queue_attributes=[sqs_error(code)]), URL)
    with pytest.raises(ConfigurationError, match="there is no queue http://sqs/queue"):
        run_in_virtual_time(queue.most_receives())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqs_error("OverLimit"), "OverLimit"),
        (EndpointConnectionError(endpoint_url=URL), "EndpointConnectionError"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_a_queue_that_can_t_be_reached(error: Exception, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    """A receive raises, by the code or the kind alone; of what is sent by tens nothing was done."""

    async def scene() -> None:
        sqs = FakeSQS()
        for method in ("receive_message", "delete_message_batch", "change_message_visibility_batch"):
            sqs.script[method] = [error]
        queue = Queue(sqs, URL)
        with pytest.raises(QueueError, match=f"^receive_message: {expected}$"):
            await queue.receive(3, 60, 1)
        assert await queue.delete(messages(2)) == {"r0", "r1"}
        assert await queue.change_visibility([(each, 7.0) for each in messages(2)]) == {"r0", "r1"}

    run_in_virtual_time(scene())
    assert [record.getMessage() for record in caplog.records] == [
        f"{method} of 2 messages failed: {method}: {expected}"
        for method in ("delete_message_batch", "change_message_visibility_batch")
    ]


def test_a_message_that_another_has_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO: it is how things go after a pause."""

    async def scene() -> None:
        code = "ReceiptHandleIsInvalid"
        sqs = FakeSQS(delete_message_batch=[code] * 3, change_message_visibility_batch=[code] * 2)
        queue = Queue(sqs, URL)
        for _ in range(3):
            assert await queue.delete(messages(2)) == {"r0"}
        for _ in range(2):
            assert await queue.change_visibility([(each, 7.0) for each in messages(2)]) == {"r0"}

    caplog.set_level("INFO", "aioecs")
    run_in_virtual_time(scene())
    [record] = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "INFO",
        f"1 messages of {URL} are another worker's by now, or deleted",
    )


def test_only_what_is_named_as_done_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """An answer of somebody else, with status 200, deletes nothing."""

    class Foreign:
        async def delete_message_batch(self, **_: Any) -> Any:
            return {"Successful": [{"Id": "1"}, {"Id": 0}, "0"], "Failed": None}

    assert run_in_virtual_time(Queue(Foreign(), URL).delete(messages(2))) == {"r0"}
    assert "failed for a message: the answer doesn't name it" in caplog.text


@pytest.mark.parametrize("policy", ["no JSON", "7", "{}", '{"maxReceiveCount": null}', "[" * 100_000])
def test_a_redrive_policy_of_another_kind(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    """A worker does without it."""

    class Foreign:
        async def get_queue_attributes(self, **_: Any) -> Any:
            return {"Attributes": {"RedrivePolicy": policy}}

    assert run_in_virtual_time(Queue(Foreign(), URL).most_receives()) is None
    assert "the redrive policy of http://sqs/queue can't be read" in caplog.text


def test_what_is_no_message_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Where others came with it; an answer with nothing else is an error, after which the worker backs off."""

    class Foreign:
        async def receive_message(self, **_: Any) -> Any:
            return {"Messages": found}

    found: list[Any] = [7, {"MessageId": "m"}, {"MessageId": "m", "ReceiptHandle": "r"}]
    queue = Queue(Foreign(), URL)
    assert [each.id for each in run_in_virtual_time(queue.receive(10, 60, 0))] == ["m"]
    assert caplog.text.count("delivered something that is no message") == 2
    found[:] = [7]
    with pytest.raises(QueueError, match="something that is no message"):
        run_in_virtual_time(queue.receive(10, 60, 0))


async def test_random_answers_are_errors_of_the_queue() -> None:
    """Two hundred bodies that are no answer of SQS, over real sockets: QueueError, or nothing done."""
    jitter = random.Random(7)

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(jitter.choice((200, 200, 200, 400, 500)), a_body(jitter))

    async with (
        RawServer(behave) as server,
        SESSION.create_client(
            "sqs",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=AioConfig(retries={"total_max_attempts": 1, "mode": "standard"}),
        ) as sqs,
    ):
        queue = Queue(sqs, URL)
        for _ in range(200):
            found: object
            try:
                found = await queue.receive(10, 60, 0)
            except QueueError as error:
                found = error
            assert isinstance(found, list) or str(found).startswith("receive_message: ")
            assert await queue.delete(messages(1)) <= {"r0"}
            assert (await queue.most_receives() or 1) > 0


def a_body(jitter: random.Random) -> bytes:
    """Draw bytes, JSON, and JSON of nearly the right kind."""
    values: list[Any] = [None, 7, "x", [], {}, [[]], [7], [{"MessageId": "m"}], [{"Id": "0"}], "\ud800", {"a": {}}]
    name = jitter.choice(("Messages", "Successful", "Failed", "Attributes", "__type", "message"))
    good = {"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": jitter.choice(values)}]}
    return jitter.choice(
        (
            lambda: jitter.randbytes(jitter.randint(0, 60)),
            lambda: b"\xff" + json.dumps(good).encode(),
            lambda: json.dumps(jitter.choice(values)).encode(),
            lambda: json.dumps({name: jitter.choice(values)}).encode(),
            lambda: json.dumps(good).encode(),
            lambda: b'{"Attributes": {"RedrivePolicy": "' + jitter.choice((b"x", b"7", b"{}")) + b'"}}',
            lambda: b"[" * 100_000,
            lambda: b"<html>hello</html>",
        )
    )()


def test_a_request_that_hangs_is_given_up() -> None:
    """After seconds: what it was about is sent again, or comes again."""
    sqs = FakeSQS(delete_message_batch=[60.0])
    assert run_in_virtual_time(Queue(sqs, URL).delete(messages(1))) == {"r0"}


def test_some_of_ten_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    """Their receipts are returned, and SQS's code is logged."""

    async def scene() -> None:
        sqs = FakeSQS(*"abc", delete_message_batch=["Throttled"], change_message_visibility_batch=["NotInflight"])
        queue = Queue(sqs, URL)
        received = await queue.receive(10, 60, 0)
        assert [each.body for each in received] == ["a", "b", "c"]
        assert await queue.change_visibility([(each, 10**6) for each in received]) == {received[0].receipt}
        hidden = sqs.requests[-1][1]["Entries"]
        assert {each["VisibilityTimeout"] for each in hidden} == {12 * 3600}, "as long as SQS does at most"
        assert await queue.delete(received) == {received[0].receipt}
        assert await queue.receive(10, 60, 0) == []
        assert list(sqs.messages) == ["m0"]

    run_in_virtual_time(scene())
    assert "delete_message_batch failed for a message: Throttled" in caplog.text
    assert "change_message_visibility_batch failed for a message: NotInflight" in caplog.text
