"""A batch that is left while other tasks iterate over its starts: nothing is sent once it is closed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import Batch, Outcome, RunTaskRequest, StartResult, StartTaskRequest, find_start_error
from aioecs.errors import ClientStateError

DEMO = StartTaskRequest(task_definition="demo")
HUGE = DEMO.replace(overrides=aioecs.TaskOverride(cpu="9000000", memory="9000000"))
RUN = RunTaskRequest(task_definition="demo")
MANY = 700  # more than five calls at a time start in 2.5 s

Stream = Callable[[Batch, StartTaskRequest], AsyncIterator[StartResult]]
DRAWING: dict[str, Stream] = {
    "start_tasks": lambda batch, named: batch.start_tasks([named] * MANY),
    "start_tasks, slowly": lambda batch, named: batch.start_tasks(slowly(named)),
    "run_tasks": lambda batch, _: batch.run_tasks([RUN] * MANY),
    "place_tasks": lambda batch, _: batch.place_tasks(DEMO, count=MANY),
    "place_tasks, slowly": lambda batch, _: batch.place_tasks(slowly(DEMO)),
}


async def slowly(request: StartTaskRequest) -> AsyncIterator[StartTaskRequest]:
    """Yield a request each second."""
    while True:
        yield request
        await asyncio.sleep(1)


async def left_meanwhile(
    ecs: EngineSetup, stream: Stream, *, fails: bool
) -> tuple[list[StartResult], BaseException | None]:
    """Leave a batch while another task iterates; return its results, those of its error among them, and that error."""
    results: list[StartResult] = []
    named = DEMO.replace(container_instances=ecs.transport.engine.instance_arns("default"))

    async def iterate(batch: Batch) -> None:
        async for start in stream(batch, named):
            results.append(start)  # noqa: PERF401 an error must not take those before it

    batch = ecs.client.batch()
    iterating = asyncio.create_task(iterate(batch))
    try:
        async with batch:
            await asyncio.sleep(2.5)
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    sent = ecs.transport.engine.truth.requests.copy()
    await asyncio.sleep(20)
    for operation in ("StartTask", "RunTask"):
        assert ecs.transport.engine.truth.requests[operation] == sent[operation]
    assert iterating.done()
    error = iterating.exception()
    truth = find_start_error(error) if error is not None else None
    return [*results, *(truth.starts if truth is not None else ())], error


@pytest.mark.parametrize("stream", DRAWING.values(), ids=DRAWING)
def test_a_block_that_raises_ends_the_drawing(stream: Stream) -> None:
    """What is in flight is stopped, and no request is drawn any more; each start that was drawn is reported."""

    async def main() -> None:
        async with engine_client(latency=0.3, client={"max_in_flight": 5}) as ecs:
            results, error = await left_meanwhile(ecs, stream, fails=True)
            assert isinstance(error, ClientStateError)
            assert "no more requests were drawn: the batch was closed" in str(error)
            outcomes = Counter(start.outcome for start in results)
            assert outcomes[Outcome.STARTED] == len(ecs.transport.engine.truth.running())
            assert outcomes[Outcome.UNKNOWN] == 0

    run_in_virtual_time(main())


def test_a_block_that_ends_waits_for_what_is_drawn_meanwhile() -> None:
    """As long as it is drawn as fast as it is sent."""

    async def main() -> None:
        async with engine_client(latency=0.3, client={"max_in_flight": 5}) as ecs:
            results, error = await left_meanwhile(ecs, DRAWING["place_tasks"], fails=False)
            assert error is None
            assert Counter(start.outcome for start in results) == {Outcome.STARTED: MANY}
            results, error = await left_meanwhile(ecs, DRAWING["place_tasks, slowly"], fails=False)
            assert isinstance(error, ClientStateError)
            assert Counter(start.outcome for start in results) == {Outcome.STARTED: 3}

    run_in_virtual_time(main())


@pytest.mark.parametrize("fails", [False, True])
def test_what_waits_for_capacity(fails: bool) -> None:
    """It is not sent, and says why."""

    async def main() -> None:
        async with engine_client(latency=0.3, client={"max_in_flight": 5}) as ecs:
            results, error = await left_meanwhile(
                ecs, lambda batch, _: batch.place_tasks(HUGE, count=3, wait_for_capacity=600), fails=fails
            )
            assert error is None
            assert [start.outcome for start in results] == [Outcome.STARTED, Outcome.NOT_SENT, Outcome.NOT_SENT]
            assert "the batch was closed before this start was sent" in str(results[-1].error)

    run_in_virtual_time(main())
