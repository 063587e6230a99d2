"""iteration: what a thread draws for the background loop, and what the loop reads for a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future

import pytest

from aioecs import ClientStateError
from aioecs._blocking import Lease, LoopCall
from aioecs._sync.iteration import Drawn, ReadAhead


def nothing() -> None:
    """Close nothing."""


@pytest.fixture
def lease() -> Iterator[Lease]:
    """Hold the loop."""
    held = Lease(nothing)
    yield held
    held.release()


def test_items_are_drawn_one_by_one_and_no_more_than_asked_for(lease: Lease) -> None:
    """In the thread that serves them, until the call ends."""
    items = iter(range(10))
    drawn = Drawn(items)

    async def three() -> list[int]:
        taken: list[int] = []
        async for item in drawn:
            taken.append(item)
            if len(taken) == 3:
                break
        return taken

    loop_call: LoopCall[list[int]] = LoopCall(three)
    lease.send(loop_call)
    drawn.serve(loop_call)
    assert loop_call.result() == [0, 1, 2]
    assert next(items) == 3


def test_a_draw_that_nobody_waits_for_any_more_is_not_made() -> None:
    """A call that was cancelled takes nothing from the iterator."""
    items = iter(range(10))
    drawn = Drawn(items)

    async def given_up() -> None:
        waiting = asyncio.ensure_future(anext(aiter(drawn)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(given_up())
    ended: Future[None] = Future()
    ended.set_result(None)
    drawn.serve(ended)
    assert next(items) == 0


def test_the_loop_is_no_further_ahead_than_a_thread_can_hold(lease: Lease) -> None:
    """A log of any size is read in bounded memory; a thread that stops taking ends the reading and its generator."""
    read, ended = 0, threading.Event()

    async def numbers() -> AsyncGenerator[int]:
        nonlocal read
        try:
            for read in range(1, 1001):
                yield read
        finally:
            ended.set()

    items = ReadAhead[int](10)
    loop_call = LoopCall(lambda: items.fill(numbers()))
    loop_call.add_done_callback(lambda _: items.end())
    lease.send(loop_call)
    for number in range(1, 501):
        assert items.take() == number
        assert read <= number + 10
    loop_call.cancel()
    assert ended.wait(5)
    assert read <= 510


def test_a_client_that_closes_waits_for_no_thread_to_take(lease: Lease) -> None:
    """What was read until then can be taken; after it comes the reason."""

    async def numbers() -> AsyncGenerator[int]:
        for number in range(1000):
            yield number

    items = ReadAhead[int](10)
    loop_call = LoopCall(lambda: items.fill(numbers()))
    loop_call.add_done_callback(lambda _: items.end())
    lease.send(loop_call)
    assert items.take() == 0
    items.close()
    with pytest.raises(ClientStateError, match="closed while this was read"):
        loop_call.result(5)
    taken = list(iter(items.take, None))
    assert taken == list(range(1, len(taken) + 1))
    assert len(taken) <= 20


def test_all_that_the_loop_reads_is_taken_in_order(lease: Lease) -> None:
    """However the two meet: the one waits for the other, and neither for ever."""

    async def numbers() -> AsyncGenerator[int]:
        for number in range(5000):
            yield number

    items = ReadAhead[int](3)
    loop_call = LoopCall(lambda: items.fill(numbers()))
    loop_call.add_done_callback(lambda _: items.end())
    lease.send(loop_call)
    taken = [0]
    while (number := items.take()) is not None:
        taken.append(number)
    assert taken[1:] == list(range(5000))
    loop_call.result(5)
