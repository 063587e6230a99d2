"""stop_call: a StopTask is carried out, and its cancelled caller gets the outcome."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from fake_transport import FakeTransport, HeldAttempt, fake_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CallCancelled, CancelToken, StopTaskRequest, StopTaskResponse, Task
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._transport.transport import SentMarker
from aioecs.errors import AccessDeniedException

STOP = StopTaskRequest(task="0" * 32)
STOPPED = StopTaskResponse(task=Task(task_arn="arn1"))
DENIED = AccessDeniedException("no")


def saying(what: Attempt[Any]) -> HeldAttempt:
    """Hold the answer back until the gate is opened."""

    async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return what

    return HeldAttempt(say)


@pytest.mark.parametrize("by", ["token", "natively"])
@pytest.mark.parametrize("what", [Answered(STOPPED), Rejected(DENIED)], ids=["accepted", "refused"])
def test_a_cancelled_caller_gets_the_outcome(by: str, what: Attempt[Any]) -> None:
    """It waits for the answer, which comes in time: the response, or the refusal as the cause."""

    async def main() -> None:
        held = saying(what)
        async with fake_client(FakeTransport(stop_task=held)) as client:
            token = CancelToken()
            call = asyncio.create_task(client.stop_task(STOP, token))
            await held.begun.wait()
            token.cancel("enough") if by == "token" else call.cancel()
            asyncio.get_running_loop().call_later(1, held.gate.set)
            await asyncio.wait([call])
            assert not held.cancelled
            if by == "token":
                cancelled = call.exception()
            else:
                with pytest.raises(asyncio.CancelledError) as caught:
                    await call
                cancelled = caught.value.__cause__
            assert isinstance(cancelled, CallCancelled)
            assert cancelled.response == (STOPPED if isinstance(what, Answered) else None)
            assert cancelled.__cause__ is (None if isinstance(what, Answered) else DENIED)

    run_in_virtual_time(main())


@pytest.mark.parametrize("policy", ["stop", "abandon"])
def test_an_answer_that_comes_too_late_is_logged(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The caller waits `settle` seconds, or not at all; the stop goes through all the same."""
    caplog.set_level(logging.INFO, "aioecs")

    async def main() -> None:
        held = saying(Answered(STOPPED))
        async with fake_client(FakeTransport(stop_task=held), on_cancel=policy) as client:
            token = CancelToken()
            call = asyncio.create_task(client.stop_task(STOP, token))
            await held.begun.wait()
            began = asyncio.get_running_loop().time()
            token.cancel()
            await asyncio.wait([call])
            waited = asyncio.get_running_loop().time() - began
            assert waited == pytest.approx(10 if policy == "stop" else 0, abs=0.1)
            cancelled = call.exception()
            assert isinstance(cancelled, CallCancelled)
            assert cancelled.response is None
            held.gate.set()

    run_in_virtual_time(main())
    assert f"StopTask of {STOP.task} succeeded after its caller had left" in caplog.messages


def test_a_stop_that_was_not_begun_is_not_sent() -> None:
    """A token that fired before sends nothing."""

    async def main() -> None:
        transport = FakeTransport()
        async with fake_client(transport) as client:
            token = CancelToken()
            token.cancel()
            with pytest.raises(CallCancelled, match="StopTask was not sent"):
                await client.stop_task(STOP, token)
        assert transport.requests == []

    run_in_virtual_time(main())


def test_the_end_of_the_client_is_said() -> None:
    """A stop that is cut off by it is neither accepted nor refused."""

    async def main() -> None:
        held = saying(Answered(STOPPED))
        async with fake_client(FakeTransport(stop_task=held), timeouts=aioecs.Timeouts(drain=1)) as client:
            call = asyncio.create_task(client.stop_task(STOP))
            await held.begun.wait()
        with pytest.raises(aioecs.ClientStateError, match="may have been stopped"):
            await call

    run_in_virtual_time(main())
