"""client_core: what the parts of an open client share, and one call that does no harm twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from fake_transport import FakeTransport, Handler, HeldAttempt, make_core, make_request
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import Outcome, StartResult, Task
from aioecs._logic.sending.rate_limiter import FixedRate
from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.shared_limiter import SharedLimiter
from aioecs._transport.transport import DESCRIBE_TASK_DEFINITION, LIST_TASKS, SentMarker
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    ServerException,
    ThrottlingException,
)

ANSWER: Attempt[Any] = Answered(aioecs.ListTasksResponse(task_arns=["one"]), "request-1")
DESCRIBED: Answered[Any] = Answered(aioecs.DescribeTaskDefinitionResponse(), "request-1")
THROTTLED = Rejected(ThrottlingException("Rate exceeded"))
DENIED = Rejected(AccessDeniedException("no"))
UNSENT = NotSent(ConnectionFailed("refused"))
LOST = Lost(AnswerLost("reset"))
FAULT = Lost(ServerException("oh", status=500))
UNSIGNED = NotSent(ConfigurationError("no credentials"))


def saying(*script: Attempt[Any]) -> Handler:
    """Answer one after the other, the last for ever."""
    left = list(script)

    async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return left.pop(0) if len(left) > 1 else left[0]

    return say


def listing(core: Core, **more: Any) -> Awaitable[Answered[aioecs.ListTasksResponse]]:
    """Make the harmless call."""
    return core.call_with_retries(LIST_TASKS, aioecs.ListTasksRequest(), Priority.READ, **more)


@pytest.mark.parametrize(
    ("script", "more", "tries", "took", "raised"),
    [
        ([ANSWER], {}, 1, 0, None),
        ([LOST, ANSWER], {}, 2, 0.1, None),
        ([FAULT, ANSWER], {}, 2, 0.1, None),
        ([UNSENT, LOST, ANSWER], {}, 3, 0.1 + 0.2, None),
        ([THROTTLED] * 8 + [ANSWER], {}, 9, 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 5 + 5, None),
        ([DENIED], {}, 1, 0, AccessDeniedException),
        ([UNSIGNED], {}, 1, 0, ConfigurationError),
        ([THROTTLED, DENIED], {}, 2, 0.1, AccessDeniedException),
        ([UNSENT], {}, 5, 0.1 + 0.2 + 0.4 + 0.8, ConnectionFailed),
        ([LOST], {}, 5, 0.1 + 0.2 + 0.4 + 0.8, AnswerLost),
        ([THROTTLED], {"within": 1}, 4, 0.1 + 0.2 + 0.4, ThrottlingException),
        ([LOST], {"within": 0}, 1, 0, AnswerLost),
    ],
)
def test_a_harmless_call_is_tried_while_that_may_help(
    script: list[Attempt[Any]], more: dict[str, Any], tries: int, took: float, raised: type[ECSError] | None
) -> None:
    """Throttles cost only time, a backoff that doesn't fit is not begun, and the last error is raised."""

    async def main() -> None:
        transport = FakeTransport(list_tasks=saying(*script))
        core = make_core(transport)
        began = core.now
        if raised is None:
            assert (await listing(core, **more)).answer.task_arns == ("one",)
        else:
            with pytest.raises(raised):
                await listing(core, **more)
        assert core.now - began == pytest.approx(took)
        assert transport.names() == ["ListTasks"] * tries
        assert core.reads == tries
        assert core.throttled == (tries if script == [THROTTLED] else script[:tries].count(THROTTLED))
        assert core.concurrency.in_use == 0

    run_in_virtual_time(main())


def test_it_holds_a_slot_while_in_flight_and_none_while_it_backs_off() -> None:
    """And by default the clock of a call bounds it."""

    async def main() -> None:
        core = make_core(FakeTransport(), size=1, timeouts=aioecs.Timeouts(call=10))
        in_use: list[int] = []

        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            in_use.append(core.concurrency.in_use)
            core.loop.call_later(0.05, lambda: in_use.append(core.concurrency.in_use))
            return THROTTLED

        core.transport.handlers["list_tasks"] = say  # type: ignore[attr-defined]
        began = core.now
        with pytest.raises(ThrottlingException):
            await listing(core)
        assert in_use[:6] == [1, 0, 1, 0, 1, 0]
        assert core.now - began == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2)

    run_in_virtual_time(main())


@pytest.mark.parametrize("moment", ["waiting", "in flight", "backing off"])
def test_a_cancel_ends_it_at_once(moment: str) -> None:
    """In the queue, on the wire and at rest; the slot is free again and nothing more is sent."""

    async def main() -> None:
        held = HeldAttempt()
        say = saying(THROTTLED) if moment == "backing off" else held
        transport = FakeTransport(list_tasks=say)
        core = make_core(transport, size=1)
        before = asyncio.ensure_future(listing(core)) if moment == "waiting" else None
        await iterations(2)
        task = asyncio.ensure_future(listing(core))
        await iterations(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert core.concurrency.waiting == 0
        assert core.concurrency.in_use == (1 if before else 0)
        assert transport.names() == ["ListTasks"]
        if before:
            before.cancel()

    run_in_virtual_time(main())


async def test_a_warning_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each thing that it is about."""
    core = make_core(FakeTransport())
    for about in ("stop", "look", "stop", "look"):
        core.warn_once(about, "can't %s: %s", about, "denied")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "can't stop: denied"),
        ("WARNING", "can't look: denied"),
    ]


async def test_its_time_is_the_loops() -> None:
    """In seconds."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    core = make_core(FakeTransport())
    assert before <= core.now <= loop.time()


async def test_an_operation_without_a_bucket_waits_for_no_permit() -> None:
    """It is sent at once, however slow the rate limiters are."""
    slow = SharedLimiter(FixedRate(1.0, 0.001))
    core = make_core(FakeTransport(describe_task_definition=saying(DESCRIBED)), start_limiter=slow, read_limiter=slow)
    request = aioecs.DescribeTaskDefinitionRequest(task_definition="demo")
    for _ in range(3):
        assert (await core.call_with_retries(DESCRIBE_TASK_DEFINITION, request, Priority.READ)) == DESCRIBED


# Outcomes that no caller is left to receive ---------------------------------------------------------------------------


def a_start(outcome: Outcome) -> StartResult:
    """Make one that came to this."""
    task = Task(task_arn=f"arn-{outcome}") if outcome is Outcome.STARTED else None
    return StartResult(request=make_request(), container_instance="i", outcome=outcome, token="token", task=task)


def test_a_report_says_what_became_of_starts(caplog: pytest.LogCaptureFixture) -> None:
    """To the hook and to the log, with token and tasks; what was never sent is not reported."""
    caplog.set_level("INFO", "aioecs")
    received: list[tuple[tuple[StartResult, ...], str | None]] = []

    async def main() -> None:
        core = make_core(FakeTransport(), on_settled=lambda starts, why: received.append((starts, why)))
        core.report((a_start(Outcome.NOT_SENT),), "bored")
        assert received == []
        some = (a_start(Outcome.STARTED), a_start(Outcome.NOT_SENT))
        core.report(some, None)
        assert received == [(some, None)]
        make_core(FakeTransport()).report(some, "bored")
        assert len(received) == 1

    run_in_virtual_time(main())
    assert [line.partition(":")[0] for line in caplog.messages] == ["ended", "bored"]
    assert all(line.endswith("token token, tasks ['arn-started']") for line in caplog.messages)


def test_a_hook_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It hurts nobody; what is UNKNOWN is logged at WARNING before it."""

    def broken(starts: object, why: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        make_core(FakeTransport(), on_settled=broken).report((a_start(Outcome.UNKNOWN),), "bored")

    run_in_virtual_time(main())
    assert caplog.messages == ["bored: 1 unknown; token token, tasks []", "on_settled raised"]
