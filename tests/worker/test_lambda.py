"""A Lambda's event: what is settled is left out of the answer, everything else named."""

from __future__ import annotations

import json
from typing import Any

import pytest

import aioecs
from aioecs.errors import InvalidRequest
from aioecs.testing import Fault, LocalECS
from aioecs.worker import MemoryLedger, Message, start_records


def an_event(*bodies: str) -> dict[str, Any]:
    """Make the event of these messages."""
    return {"Records": [{"messageId": f"id-{n}", "body": body} for n, body in enumerate(bodies)]}


def requests(local: LocalECS) -> Any:
    """Return what makes a request of a message."""

    def to_request(message: Message) -> aioecs.StartTaskRequest:
        if message.body == "poison":
            raise ValueError("a-secret")
        definition = "nobody:3" if message.body == "refused" else "demo"
        return aioecs.StartTaskRequest(
            task_definition=definition, container_instances=local.instance_arns[:1], group=message.body
        )

    return to_request


def body(message: Message) -> str:
    """Return the key of a message's job."""
    return message.body


async def test_only_what_is_settled_is_done(
    client: aioecs.Client, local: LocalECS, caplog: pytest.LogCaptureFixture
) -> None:
    """Poison, refusals and what another has are failures; a job that came before is none, and starts nothing."""
    ledger = MemoryLedger()
    event = an_event("a", "poison", "b", "refused")
    for _ in range(2):
        answer = await start_records(client, event, requests(local), key=body, ledger=ledger)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "id-1"}, {"itemIdentifier": "id-3"}]}
    assert sorted(task.group for task in local.truth.running()) == ["a", "b"]
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_token_ends_it_in_time(client: aioecs.Client, local: LocalECS) -> None:
    """What is on the wire is learnt, and what isn't is not sent."""
    token = aioecs.CancelToken()
    local.faults.add(Fault("delay", seconds=0.3))
    token.cancel_after(0.15)
    answer = await start_records(client, an_event("a"), requests(local), token, key=body, ledger=MemoryLedger())
    assert answer == {"batchItemFailures": []}
    answer = await start_records(client, an_event("b"), requests(local), token, key=body, ledger=MemoryLedger())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-0"}]}
    assert [task.group for task in local.truth.running()] == ["a"]


async def test_nothing_is_nothing(client: aioecs.Client, local: LocalECS) -> None:
    """An empty event is answered; a lease that can't be is named."""
    empty: dict[str, Any] = {"Records": []}
    assert await start_records(client, empty, requests(local), ledger=MemoryLedger()) == {"batchItemFailures": []}
    with pytest.raises(InvalidRequest, match="lease"):
        await start_records(client, an_event("a"), requests(local), ledger=MemoryLedger(), lease=1)


@pytest.mark.parametrize("event", [{}, {"detail-type": "ECS Task State Change"}, {"Records": None}, [], None])
async def test_an_event_of_another_service_is_no_success(client: aioecs.Client, local: LocalECS, event: Any) -> None:
    """Its messages would be deleted, and nothing was started."""
    with pytest.raises(InvalidRequest, match="event: an event of SQS, with a list of Records"):
        await start_records(client, event, requests(local), ledger=MemoryLedger())


@pytest.mark.parametrize(
    ("name", "given"),
    [("cancel_scope", 5), ("key", "job"), ("ledger", MemoryLedger), ("skew", "5")],
)
async def test_an_argument_of_another_kind_is_no_failure_of_the_messages(
    client: aioecs.Client, local: LocalECS, name: str, given: object
) -> None:
    """They would be received until they are dead-lettered."""
    settings: dict[str, Any] = {"ledger": MemoryLedger(), name: given}
    with pytest.raises(InvalidRequest, match=f"^{name}: "):
        await start_records(client, an_event("a"), requests(local), **settings)


async def test_an_unforeseen_error_is_a_failure_of_its_message(client: aioecs.Client, local: LocalECS) -> None:
    """No other message suffers."""

    class Broken(MemoryLedger):
        async def claim(self, intent: Any, *, now: float, skew: float) -> Any:
            if intent.key == "a":
                raise ZeroDivisionError
            return await super().claim(intent, now=now, skew=skew)

    answer = await start_records(client, an_event("a", "b"), requests(local), key=body, ledger=Broken())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-0"}]}


async def test_the_reason_is_logged_beside_the_answer(client: aioecs.Client, local: LocalECS) -> None:
    """By the ids of the messages that failed; Lambda's own answer stays as Lambda reads it."""

    def to_request(message: Message) -> aioecs.StartTaskRequest:
        instances = local.instance_arns[:1] if message.body == "a" else ["0" * 32]
        return aioecs.StartTaskRequest(task_definition="demo", container_instances=instances)

    answer = await start_records(client, an_event("a", "b"), to_request, ledger=MemoryLedger())
    assert json.dumps(answer) == '{"batchItemFailures": [{"itemIdentifier": "id-1"}]}'
    assert answer.reasons == {"id-1": f"refused: MISSING on {'0' * 32}"}


async def test_the_order_of_a_group_is_kept(client: aioecs.Client, local: LocalECS) -> None:
    """What follows a failure of its group is not begun, and fails too; another group goes on."""
    event = an_event("a", "poison", "b", "c")
    for record, group in zip(event["Records"], ("g", "g", "g", "other"), strict=True):
        record["attributes"] = {"MessageGroupId": group}
    answer = await start_records(client, event, requests(local), key=body, ledger=MemoryLedger())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-1"}, {"itemIdentifier": "id-2"}]}
    assert answer.reasons["id-2"] == "an earlier message of its group failed"
    assert sorted(task.group for task in local.truth.running()) == ["a", "c"]


@pytest.mark.parametrize("record", [{}, {"messageId": 7}, "x", None])
async def test_an_event_of_something_else(client: aioecs.Client, record: Any) -> None:
    """Is refused, and the record named."""
    with pytest.raises(InvalidRequest, match=r"event\.Records\[0\]: a message of SQS"):
        await start_records(client, {"Records": [record]}, lambda _: None, ledger=MemoryLedger())  # type: ignore[arg-type,return-value]
