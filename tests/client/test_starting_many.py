"""starting_many: `timeout` on every starting method, and what is reported of the starts that it cancels."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from cancel_storms.two_cancels import cancelled_twice
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import (
    CancelToken,
    InvalidRequest,
    Outcome,
    RunTaskRequest,
    StartCancelled,
    StartResult,
    StartTaskRequest,
    StartTimeout,
)

SENDS = ("StartTask", "RunTask")
RUN = RunTaskRequest(task_definition="demo", count=2)
PLACED = StartTaskRequest(task_definition="demo")


@asynccontextmanager
async def opened(answer_after: float = 1.0, **client: Any) -> AsyncIterator[EngineSetup]:
    """Open a client whose starts take effect at once and are answered after these seconds."""
    async with engine_client(client=client) as world:
        at_once = world.transport.attempt

        async def attempt(operation: Any, request: Any, sent_marker: Any) -> Any:
            answer = await at_once(operation, request, sent_marker)
            if operation.name in SENDS:
                await asyncio.sleep(answer_after)
            return answer

        world.transport.attempt = attempt  # type: ignore[method-assign]
        yield world


def named(world: EngineSetup) -> StartTaskRequest:
    """Return a request for two starts on an instance."""
    return PLACED.replace(container_instances=list(world.transport.engine.instance_arns("default")) * 2)


Calls = Callable[[EngineSetup, dict[str, Any]], Awaitable[Any]]
CALLS: dict[str, Calls] = {
    "start_task": lambda w, o: w.client.start_task(named(w), **o),
    "start_task, keyed": lambda w, o: w.client.start_task(named(w), idempotency_key="job", **o),
    "run_task": lambda w, o: w.client.run_task(RUN, **o),
    "run_task, keyed": lambda w, o: w.client.run_task(RUN, idempotency_key="job", **o),
    "place_task": lambda w, o: w.client.place_task(PLACED, **o),
    "place_task, keyed": lambda w, o: w.client.place_task(PLACED, idempotency_key="job", **o),
    "start_tasks": lambda w, o: w.client.start_tasks([named(w)], **o),
    "start_tasks, keyed": lambda w, o: w.client.start_tasks([named(w)], idempotency_key=lambda _: "job", **o),
    "run_tasks": lambda w, o: w.client.run_tasks([RUN], **o),
    "run_tasks, keyed": lambda w, o: w.client.run_tasks([RUN], idempotency_key=lambda _: "job", **o),
    "place_tasks": lambda w, o: w.client.place_tasks(PLACED, count=2, **o),
    "place_tasks, keyed": lambda w, o: w.client.place_tasks([PLACED], idempotency_key=lambda _: "job", **o),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def running(world: EngineSetup) -> int:
    """Count the tasks that run and are not asked to stop."""
    return len(world.transport.engine.truth.running())


def sends(world: EngineSetup) -> int:
    """Count the requests that start tasks."""
    return sum(world.transport.engine.truth.requests[name] for name in SENDS)


@each_call
def test_over_before_anything_is_sent(call: Calls) -> None:
    """A timeout of 0 seconds: each start that was drawn is NOT_SENT, and ECS is asked for nothing."""

    async def main() -> None:
        async with opened() as world:
            with pytest.raises(StartTimeout, match="not finished within 0 s") as raised:
                await call(world, {"timeout": 0})
            assert {start.outcome for start in raised.value.starts} <= {Outcome.NOT_SENT}
            assert sends(world) == 0

    run_in_virtual_time(main())


@pytest.mark.parametrize(("on_cancel", "outcome"), [("stop", Outcome.STOPPED), ("keep", Outcome.STARTED)])
@each_call
def test_over_while_the_answer_is_awaited(call: Calls, on_cancel: Any, outcome: Outcome) -> None:
    """What was sent ends as `on_cancel` says, and the error says that it was the timeout."""

    async def main() -> None:
        async with opened(on_cancel=on_cancel) as world:
            with pytest.raises(StartTimeout, match=r"not finished within 0\.5 s: ") as raised:
                await call(world, {"timeout": 0.5})
            assert {start.outcome for start in raised.value.starts} == {outcome}
            assert (raised.value.reason, raised.value.source) == ("timeout", None)
            assert running(world) == (0 if outcome is Outcome.STOPPED else len(raised.value.starts))
            assert sends(world) == 1

    run_in_virtual_time(main())


@each_call
def test_over_after_the_answer(call: Calls) -> None:
    """It changes nothing: the answer stands, the tasks run, and no timer is left."""

    async def main() -> None:
        async with opened() as world:
            answer = await call(world, {"timeout": 1.2})
            await asyncio.sleep(5)
            assert running(world) == len(answer.tasks) > 0

    run_in_virtual_time(main())


@each_call
def test_it_goes_together_with_a_token(call: Calls) -> None:
    """The first of the two cancels: the token before its time, the timeout before the token."""

    async def main() -> None:
        async with opened() as world:
            token = CancelToken()
            asyncio.get_running_loop().call_later(0.5, token.cancel, "enough")
            with pytest.raises(StartCancelled, match="enough") as raised:
                await call(world, {"cancel_scope": token, "timeout": 0.8})
            assert not isinstance(raised.value, StartTimeout)
            assert raised.value.source is token
            with pytest.raises(StartTimeout):
                await call(world, {"cancel_scope": anyio.CancelScope(), "timeout": 0.5})
            assert running(world) == 0

    run_in_virtual_time(main())


@each_call
def test_it_is_a_number_of_seconds(call: Calls) -> None:
    """Whatever else is refused before anything is sent."""

    async def main() -> None:
        async with opened() as world:
            for timeout in (-1, math.nan, "5", True):
                with pytest.raises(InvalidRequest, match="timeout"):
                    await call(world, {"timeout": timeout})
            assert sends(world) == 0

    run_in_virtual_time(main())


def test_infinity_is_no_timeout() -> None:
    """The call takes as long as it takes."""

    async def main() -> None:
        async with opened(answer_after=10.0) as world:
            assert len((await world.client.start_task(named(world), timeout=math.inf)).tasks) == 2

    run_in_virtual_time(main())


def test_it_is_a_timeout_error() -> None:
    """Code that catches TimeoutError catches it; it is not safe to try again blindly."""

    async def main() -> None:
        async with opened() as world:
            with pytest.raises(TimeoutError) as raised:
                await world.client.start_task(named(world), timeout=0.5)
            assert isinstance(raised.value, StartCancelled)
            assert aioecs.find_start_error(raised.value) is raised.value
            assert not aioecs.is_retry_safe(raised.value)

    run_in_virtual_time(main())


def test_some_are_started_some_are_not_sent() -> None:
    """Of many calls, those that were answered stand, those in flight are stopped, the others were never sent."""

    async def main() -> None:
        async with opened(max_in_flight=2) as world:
            (instance,) = world.transport.engine.instance_arns("default")
            requests = [
                PLACED.replace(container_instances=[instance], started_by=f"job-{at}", group=f"g{at}")
                for at in range(10)
            ]
            with pytest.raises(StartTimeout) as raised:
                await world.client.start_tasks(requests, timeout=2.5, on_cancel="keep")
            outcomes = [start.outcome for start in raised.value.starts]
            assert outcomes == [Outcome.STARTED] * 6 + [Outcome.NOT_SENT] * 4
            assert running(world) == 6
            assert sends(world) == 6

    run_in_virtual_time(main())


def test_one_caller_s_timeout_leaves_the_others_alone() -> None:
    """Two callers share the call of a key: the one without a timeout gets the task."""

    async def main() -> None:
        async with opened() as world:
            request = named(world)
            patient = asyncio.create_task(world.client.start_task(request, idempotency_key="job"))
            with pytest.raises(StartTimeout):
                await world.client.start_task(request, idempotency_key="job", timeout=0.5)
            assert len((await patient).tasks) == running(world) == 2

    run_in_virtual_time(main())


SECOND_CANCELS = (
    ("timeout", "token"),
    ("timeout", "scope"),
    ("timeout", "task"),
    ("timeout", "enclosing scope"),
    ("token", "task"),
    ("task", "token"),
    ("scope", "task"),
)


@each_call
def test_a_second_cancel_ends_the_wait(call: Calls) -> None:
    """The first of two cancels begins to settle, and is the reason; the second, of another kind, ends that wait."""

    async def main() -> None:
        for first, second in SECOND_CANCELS:
            took, error = await cancelled_unanswered(call, first, second)
            assert took == pytest.approx(1.5, abs=0.02), (first, second)
            assert error.outcome is Outcome.UNKNOWN
            assert isinstance(error, StartTimeout) is (first == "timeout")

    run_in_virtual_time(main())


@pytest.mark.parametrize("first", ["timeout", "token", "scope", "task", "enclosing scope"])
@each_call
def test_settling_takes_no_longer_than_it_may(call: Calls, first: str) -> None:
    """Whichever kind of cancel begins it: `timeouts.settle` seconds, 10 here, and no more."""

    async def main() -> None:
        took, error = await cancelled_unanswered(call, first)
        assert took == pytest.approx(10.5, abs=0.02)
        assert error.outcome is Outcome.UNKNOWN

    run_in_virtual_time(main())


async def cancelled_unanswered(call: Calls, first: str, second: str = "") -> tuple[float, StartCancelled]:
    """Start without an answer, and cancel once or twice; return how long it took, and the StartCancelled."""
    async with opened(answer_after=30.0) as world:
        asyncio.get_running_loop().call_later(0.4, setattr, world.transport, "latency", 30.0)  # of lookups
        took, _, error = await cancelled_twice(lambda options: call(world, options), first, second)
        return took, error


def test_the_end_of_the_time_is_no_second_cancel() -> None:
    """A caller that was cancelled before waits for the outcome, though its timeout is over meanwhile."""

    async def main() -> None:
        async with opened() as world:
            token = CancelToken()
            asyncio.get_running_loop().call_later(0.2, token.cancel, "enough")
            with pytest.raises(StartCancelled, match="enough") as raised:
                await world.client.start_task(named(world), token, timeout=0.4)
            assert raised.value.outcome is Outcome.STOPPED
            starting = asyncio.create_task(world.client.start_task(named(world), timeout=0.4))
            asyncio.get_running_loop().call_later(0.2, starting.cancel)
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await starting
            start_error = aioecs.find_start_error(cancelled.value)
            assert start_error is not None
            assert not isinstance(start_error, StartTimeout)
            assert start_error.outcome is Outcome.STOPPED

    run_in_virtual_time(main())


# Batches -------------------------------------------------------------------------------------------------------------

SINGLE: dict[str, Callable[[aioecs.Batch, EngineSetup], Awaitable[Any]]] = {
    "start_task": lambda batch, world: batch.start_task(named(world), timeout=0.5),
    "start_task, keyed": lambda batch, world: batch.start_task(named(world), timeout=0.5, idempotency_key="job"),
    "run_task": lambda batch, _: batch.run_task(RUN, timeout=0.5),
    "place_task": lambda batch, _: batch.place_task(PLACED, timeout=0.5),
}
STREAMS: dict[str, Callable[[aioecs.Batch, EngineSetup], AsyncIterator[StartResult]]] = {
    "start_tasks": lambda batch, world: batch.start_tasks([named(world)] * 2, timeout=0.5),
    "run_tasks": lambda batch, _: batch.run_tasks([RUN] * 2, timeout=0.5),
    "place_tasks": lambda batch, _: batch.place_tasks(PLACED, count=4, timeout=0.5),
}


@pytest.mark.parametrize("call", SINGLE.values(), ids=SINGLE)
def test_one_start_of_a_batch(call: Callable[[aioecs.Batch, EngineSetup], Awaitable[Any]]) -> None:
    """As one of the client's: what was sent is stopped."""

    async def main() -> None:
        async with opened() as world, world.client.batch() as batch:
            with pytest.raises(StartTimeout) as raised:
                await call(batch, world)
            assert {start.outcome for start in raised.value.starts} == {Outcome.STOPPED}
            assert running(world) == 0

    run_in_virtual_time(main())


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_of_a_batch(stream: Callable[[aioecs.Batch, EngineSetup], AsyncIterator[StartResult]]) -> None:
    """The iteration ends without an error once all that was drawn has its outcome."""

    async def main() -> None:
        async with opened() as world, world.client.batch() as batch:
            outcomes = [start.outcome async for start in stream(batch, world)]
            assert outcomes == [Outcome.STOPPED] * 4
            assert running(world) == 0

    run_in_virtual_time(main())


def test_requests_that_come_slowly() -> None:
    """Drawing ends with the time: what is not drawn by then is no start."""

    async def main() -> None:
        async with opened(answer_after=0.01) as world:
            request = named(world)

            async def slowly() -> AsyncIterator[StartTaskRequest]:
                while True:
                    yield request
                    await asyncio.sleep(1)

            with pytest.raises(StartTimeout) as raised:
                await world.client.start_tasks(slowly(), timeout=2.5)
            assert outcomes_of(raised.value.starts) == [Outcome.STARTED] * 6

    run_in_virtual_time(main())


def outcomes_of(starts: Iterable[StartResult]) -> list[Outcome]:
    """Return the outcome of each start."""
    return [start.outcome for start in starts]
