"""concurrency: so many at once, in order of turn, then of arrival."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import iterations, run_in_virtual_time

from aioecs._runtime.concurrency import ConcurrencyLimit, Priority
from tests.effort import EFFORT


class Visitor:
    """A task that wants a slot, holds it until it is released, and logs it."""

    def __init__(self, slots: ConcurrencyLimit, priority: Priority, log: list[Visitor] | None = None) -> None:
        self.priority = priority
        self.inside = False
        self._slots = slots
        self._go = asyncio.Event()
        self._log = log
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        async with self._slots.held(self.priority):
            self.inside = True
            if self._log is not None:
                self._log.append(self)
            try:
                await self._go.wait()
            finally:
                self.inside = False

    def leave(self) -> None:
        """Let the slot go, in the next iteration of the loop."""
        self._go.set()


async def test_stops_go_before_lookups_before_starts_before_reads() -> None:
    """And within a priority, in order of arrival."""
    slots, log = ConcurrencyLimit(1), list[Visitor]()
    first = Visitor(slots, Priority.START, log)
    await iterations(1)
    queue = [Visitor(slots, priority, log) for priority in [*reversed(Priority), *Priority, *reversed(Priority)]]
    await iterations(1)
    assert (slots.in_use, slots.waiting) == (1, 12)
    for visitor in [first, *queue]:
        visitor.leave()
    await asyncio.gather(first.task, *(visitor.task for visitor in queue))
    assert log == [first, *sorted(queue, key=lambda visitor: visitor.priority)]
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_as_many_as_there_are_slots_go_at_once() -> None:
    """The next goes in when one leaves, also by an error."""
    slots = ConcurrencyLimit(3)
    visitors = [Visitor(slots, Priority.START) for _ in range(5)]
    await iterations(2)
    assert [visitor.inside for visitor in visitors] == [True] * 3 + [False] * 2
    visitors[1].task.cancel()
    await iterations(3)
    assert [visitor.inside for visitor in visitors] == [True, False, True, True, False]
    assert (slots.in_use, slots.waiting) == (3, 1)
    for visitor in visitors:
        visitor.leave()
    await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)
    assert (slots.in_use, slots.waiting) == (0, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(["leave", "cancel", "come"])))
@pytest.mark.parametrize("apart", [0, 1, 2])
async def test_a_cancel_while_waiting_loses_no_slot(order: tuple[str, ...], apart: int) -> None:
    """Whether it comes before, after, or in the same moment as the slot; who comes in between gets it in the end."""
    slots = ConcurrencyLimit(1)
    first = Visitor(slots, Priority.START)
    await iterations(1)
    second = Visitor(slots, Priority.START)
    await iterations(1)
    third: list[Visitor] = []
    steps: dict[str, Callable[[], object]] = {
        "leave": first.leave,
        "cancel": second.task.cancel,
        "come": lambda: third.append(Visitor(slots, Priority.START)),
    }
    for step in order:
        steps[step]()
        await iterations(apart)
    with pytest.raises(asyncio.CancelledError):
        await second.task
    await iterations(4)
    assert third[0].inside
    assert slots.in_use == 1
    third[0].leave()
    await third[0].task
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_a_slot_that_comes_together_with_a_cancel_is_handed_on() -> None:
    """The waiter has been given the slot and is cancelled before it could run: the next one in the queue has it."""
    slots = ConcurrencyLimit(1)
    first = Visitor(slots, Priority.START)
    await iterations(1)
    second, third = Visitor(slots, Priority.START), Visitor(slots, Priority.START)
    await iterations(1)
    first.leave()
    await iterations(1)  # first has left, and second's wake-up is scheduled
    assert slots.waiting == 1
    second.task.cancel()
    await asyncio.wait([second.task])
    await iterations(1)
    assert (second.task.cancelled(), third.inside, slots.in_use) == (True, True, 1)
    third.leave()
    await third.task


async def test_a_waiter_that_is_closed_is_passed_over() -> None:
    """A coroutine that nobody runs any more takes no slot."""
    slots = ConcurrencyLimit(1)
    first = Visitor(slots, Priority.START)
    await iterations(1)

    async def visit() -> None:
        async with slots.held(Priority.STOP):
            raise AssertionError("it was closed")

    closed: Coroutine[Any, Any, None] = visit()
    closed.send(None)
    second = Visitor(slots, Priority.READ)
    await iterations(1)
    closed.close()
    assert slots.waiting == 1
    first.leave()
    await iterations(3)
    assert second.inside
    second.leave()
    await second.task
    assert slots.in_use == 0


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["leave", "cancel"]), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.integers(1, 3)),
    ),
    max_size=40,
)


@settings(max_examples=100 * EFFORT, deadline=None)
@given(size=st.integers(1, 3), steps=STEPS)
def test_never_more_than_there_are_slots_and_none_is_lost(size: int, steps: list[Step]) -> None:
    """Whatever comes, leaves and is cancelled in whatever order: slots held and slots counted agree."""

    async def main() -> None:
        slots, visitors = ConcurrencyLimit(size), list[Visitor]()
        for step, number in steps:
            if step == "come":
                visitors.append(Visitor(slots, Priority(number)))
            elif step == "pass":
                await iterations(number)
            elif visitors and step == "leave":
                visitors[number % len(visitors)].leave()
            elif visitors:
                visitors[number % len(visitors)].task.cancel()
            assert sum(visitor.inside for visitor in visitors) <= slots.in_use <= size
        await iterations(4 * len(visitors) + 1)
        waiting = [visitor for visitor in visitors if not visitor.inside and not visitor.task.done()]
        assert len(waiting) == slots.waiting
        assert slots.in_use == sum(visitor.inside for visitor in visitors)
        assert not waiting or slots.in_use == size
        for visitor in visitors:
            visitor.leave()
        await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)
        assert (slots.in_use, slots.waiting) == (0, 0)

    run_in_virtual_time(main())


async def test_a_slot_that_is_free_is_taken_at_once_and_no_other() -> None:
    """`try_take` doesn't wait, and doesn't overtake those who do."""
    slots = ConcurrencyLimit(1)
    assert slots.try_take()
    assert not slots.try_take()
    waiting = asyncio.create_task(slots.take(Priority.START))
    await iterations(1)
    slots.release()  # it goes to the one who waits
    assert not slots.try_take()
    await waiting
    slots.release()
    assert slots.try_take()
    assert slots.in_use == 1
