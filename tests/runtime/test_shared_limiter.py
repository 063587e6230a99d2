"""shared_limiter: whose turn it is, on any loop and thread, fairly, and as if who was cancelled had never come."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import iterations, run_in_virtual_time

from aioecs import Pacing
from aioecs._logic.sending.rate_limiter import FixedRate, Unlimited
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.shared_limiter import SharedLimiter


class Gate:
    """A limiter with scripted permits, which counts."""

    rate = 10.0
    burst = 1.0

    def __init__(self, free: int = 0, due: float | None = None) -> None:
        self.free, self.due = free, due
        self.received: list[Any] = []
        self.left: list[int | None] = []

    def next_at(self, now: float, left: int | None = None, /) -> float | None:
        """Now while there are free permits, then as scripted."""
        self.left.append(left)
        return now if self.free else self.due

    def sent(self, _now: float, /) -> None:
        """Take one."""
        self.free -= 1

    def answered(self, _now: float, ok: bool, at: float, /) -> None:
        """An answer brings a permit."""
        self.received.append((ok, at))
        self.free += 1

    def unsent(self, _now: float, _at: float, /) -> None:
        """Back it goes."""
        self.free += 1


async def waits(limiter: SharedLimiter, **options: Any) -> asyncio.Task[float]:
    """Wait for a permit in a task, as far as that goes."""
    task = asyncio.create_task(limiter.acquire(**options))
    await iterations(1)
    return task


def test_a_free_permit_is_taken_without_yielding() -> None:
    """The coroutine ends at its first step, with the time as its permit."""
    coroutine = SharedLimiter(FixedRate(2, 1), lambda: 7.0).acquire()
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    assert ended.value.value == 7.0


def test_permits_are_granted_at_the_rate_on_virtual_time() -> None:
    """Burst at once, then one by one, with one timer and no polling."""

    async def run() -> list[float]:
        limiter, begun = SharedLimiter(FixedRate(5, 10)), time.monotonic()
        permits = await asyncio.gather(*(limiter.acquire() for _ in range(15)))
        assert limiter.waiting == 0
        return [round(permit - begun, 3) for permit in permits]

    assert run_in_virtual_time(run()) == [0.0] * 5 + [round(0.1 * at, 3) for at in range(1, 11)]


async def test_the_urgent_go_first_then_by_arrival() -> None:
    """Lower urgency is sooner."""
    gate, log = Gate(), list[str]()
    limiter = SharedLimiter(gate)

    async def visit(name: str, urgency: int) -> None:
        await limiter.acquire(urgency)
        log.append(name)

    tasks = [asyncio.create_task(visit(name, urgency)) for name, urgency in [("c", 2), ("a", 0), ("d", 2), ("b", 1)]]
    await iterations(1)
    for _ in tasks:
        limiter.answered(0.0, False)
        await iterations(2)
    assert log == ["a", "b", "c", "d"]


@pytest.mark.parametrize("many", [False, True])
def test_two_batches_share_evenly(many: bool) -> None:
    """Whether one acquires a permit at a time or has a thousand waiters."""

    async def run() -> Counter[str]:
        limiter, count, one, other = SharedLimiter(FixedRate(20, 50)), Counter[str](), object(), object()

        async def visits(name: str, of: object, times: int) -> None:
            for _ in range(times):
                await limiter.acquire(of=of)
                count[name] += 1

        crowd = [visits("b", other, 1) for _ in range(1000)] if many else [visits("b", other, 1000)]
        tasks = [asyncio.create_task(each) for each in [visits("a", one, 1000), *crowd]]
        await asyncio.sleep(4)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.waiting == 0
        return count

    count = run_in_virtual_time(run())
    assert 200 <= sum(count.values()) <= 221
    # Before the other has come, one may take the burst.
    assert abs(count["a"] - count["b"]) <= 20


async def test_the_queue_is_counted_over_all_batches() -> None:
    """What each says is left, or how many of it wait if that is more."""
    gate = Gate()
    limiter = SharedLimiter(gate)
    one, other = object(), object()
    tasks = [await waits(limiter, of=one, left=lambda: 40), await waits(limiter, of=other, left=lambda: None)]
    assert gate.left[-1] == 41
    tasks += [await waits(limiter, of=other), await waits(limiter, of=other)]
    assert gate.left[-1] == 43
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    limiter.try_acquire()
    assert gate.left[-1] == 1


async def test_trying_and_the_hint() -> None:
    """A try takes a permit only if it is free and no caller waits; the hint says for how long one would."""
    gate, now = Gate(free=1), 50.0
    limiter = SharedLimiter(gate, lambda: now)
    assert limiter.wait_hint() == 0.0
    assert limiter.try_acquire() == now
    assert limiter.try_acquire() is None
    assert limiter.wait_hint() == pytest.approx(0.1)
    gate.due = now + 3
    assert limiter.wait_hint() == pytest.approx(3)
    task = await waits(limiter)
    assert limiter.wait_hint() == pytest.approx(3.1)
    gate.free = 1
    assert limiter.try_acquire() is None
    assert repr(limiter).endswith("waiting=1 loops=1>")
    limiter.unsent(now)
    assert await task == now
    limiter.answered(now, True)
    assert gate.received == [(False, now)]
    assert limiter.rate == 10


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize("free_first", [True, False])
async def test_a_cancel_in_the_same_moment_as_the_permit(steps: int, free_first: bool) -> None:
    """Whichever comes first, the permit is taken or goes to the next; none is lost and none is made."""
    gate = Gate()
    limiter = SharedLimiter(gate)
    first, second = await waits(limiter), await waits(limiter)
    for step in [True, False] if free_first else [False, True]:
        if step:
            limiter.answered(0.0, False)
        else:
            first.cancel()
        await iterations(steps)
    await iterations(4)
    assert first.done()
    assert (not first.cancelled()) + second.done() == 1
    assert gate.free == 0
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert limiter.waiting == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["come", "cancel", "free", "step"]), st.integers(0, 9)), max_size=60))
def test_no_permit_is_lost_or_made(steps: list[tuple[str, int]]) -> None:
    """In any order of coming, cancelling and freeing."""

    async def run() -> None:
        gate, tasks, freed = Gate(), list[asyncio.Task[float]](), 0
        limiter = SharedLimiter(gate)
        for what, which in steps:
            if what == "come":
                tasks.append(
                    asyncio.create_task(limiter.acquire(which % 2, of=tasks[which % len(tasks)] if tasks else None))
                )
            elif what == "cancel" and tasks:
                tasks[which % len(tasks)].cancel()
            elif what == "free":
                freed += 1
                limiter.answered(0.0, False)
            else:
                await iterations(which % 3)
        await iterations(6)
        taken = sum(task.done() and not task.cancelled() for task in tasks)
        assert taken + gate.free == freed
        assert limiter.waiting == sum(not task.done() for task in tasks)
        assert not (gate.free and limiter.waiting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limiter.waiting, gate.free) == (0, freed - taken)

    asyncio.run(run())


async def test_a_timer_is_moved_forward_by_an_answer() -> None:
    """A permit that was far away comes when an answer says so."""
    gate = Gate(due=time.monotonic() + 3600)
    limiter = SharedLimiter(gate)
    task = await waits(limiter)
    gate.due = time.monotonic() + 1800
    other = await waits(limiter)
    limiter.answered(0.0, False)
    await asyncio.wait_for(task, 5)
    other.cancel()


# Several loops --------------------------------------------------------------------------------------------------------


def test_loops_in_threads_share_one_limiter() -> None:
    """Together they get what the bucket gives, each about its part, and every waiter is served."""
    limiter, counts, begun = SharedLimiter(FixedRate(30, 1000)), Counter[int](), time.monotonic()

    async def work(name: int) -> None:
        async def visit() -> None:
            await limiter.acquire(of=name)
            counts[name] += 1

        await asyncio.gather(*(visit() for _ in range(60)))

    threads = [threading.Thread(target=asyncio.run, args=(work(name),)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == {0: 60, 1: 60, 2: 60}
    assert time.monotonic() - begun >= 0.149
    assert limiter.waiting == 0


async def test_an_answer_in_a_thread_wakes_a_loop_elsewhere() -> None:
    """Also one that has no loop of its own."""
    gate = Gate()
    limiter = SharedLimiter(gate)
    task = await waits(limiter)
    await asyncio.to_thread(limiter.answered, 0.0, False)
    await asyncio.wait_for(task, 5)
    far = await waits(limiter)
    gate.due = time.monotonic() + 0.01
    gate.free = -1
    await asyncio.to_thread(limiter.answered, 0.0, True)  # it frees nothing, but says when
    gate.free, gate.due = 1, None
    await asyncio.wait_for(far, 5)


def abandoned(limiter: SharedLimiter, count: int = 1) -> asyncio.AbstractEventLoop:
    """Leave waiters on a loop, and close it."""
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(limiter.acquire()) for _ in range(count)]
    loop.run_until_complete(iterations(2))
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.kept = tasks  # type: ignore[attr-defined]
    return loop


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("due", [None, 3600.0])
def test_a_closed_loop_is_forgotten(due: float | None) -> None:
    """With its waiters: their permits go to the next; no answer fails because of it."""
    gate = Gate()
    limiter = SharedLimiter(gate)
    loop = abandoned(limiter, 3)
    assert limiter.waiting == 3

    async def run() -> None:
        task = await waits(limiter)
        assert limiter.waiting == 1
        limiter.answered(0.0, False)
        await task

    asyncio.run(run())
    other = abandoned(limiter, 2)
    gate.due = due
    limiter.answered(0.0, False)
    assert (limiter.waiting, gate.free) == (0, 1)
    gate.free = 0
    third = abandoned(limiter)
    gate.due = time.monotonic() + 60
    limiter._grant()
    for side in list(limiter._loops.values()):
        side.due = None
    limiter._grant()
    assert limiter.waiting == 0
    del loop, other, third
    gc.collect()


# The registry ---------------------------------------------------------------------------------------------------------


def test_who_is_equal_shares() -> None:
    """By whom, bucket and numbers; reads are always learnt, and unpaced is nobody's."""
    who = ("123", "eu-west-1", object())
    starts = SharedLimiter.shared(who, "starts", Pacing())
    assert SharedLimiter.shared(who, "starts", Pacing()) is starts
    assert SharedLimiter.shared((*who[:2], object()), "starts", Pacing()) is not starts
    reads = SharedLimiter.shared(who, "reads", Pacing())
    assert (starts.rate, reads.rate) == (40, 20)
    pinned = SharedLimiter.shared(who, "starts", Pacing(burst=5, rate=2))
    assert pinned.rate == 2
    assert SharedLimiter.shared(who, "starts", Pacing(burst=5, rate=2)) is pinned
    assert SharedLimiter.shared(who, "reads", Pacing(burst=5, rate=2)) is reads
    unpaced = SharedLimiter.shared(who, "starts", None)
    assert unpaced.rate == float("inf")
    assert unpaced.wait_hint() == 0.0
    assert isinstance(unpaced._limiter, Unlimited)


# The reserve of lookups and stops -------------------------------------------------------------------------------------


@pytest.mark.parametrize("urgency", [Priority.STOP, Priority.LOOKUP])
def test_lookups_and_stops_go_at_the_reserved_rate_though_the_learned_one_is_lower(urgency: Priority) -> None:
    """Ten of them at five a second, beside reads that wait for their permits all the while."""

    async def run() -> list[float]:
        limiter, begun = SharedLimiter(FixedRate(1, 0.01), reserved=5.0), time.monotonic()
        await limiter.acquire(Priority.READ)
        reads = [asyncio.create_task(limiter.acquire(Priority.READ)) for _ in range(3)]
        await iterations(1)
        permits = [await limiter.acquire(urgency) for _ in range(10)]
        assert not any(read.done() for read in reads)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        return [round(permit - begun, 3) for permit in permits]

    assert run_in_virtual_time(run()) == [round(0.2 * at, 3) for at in range(10)]


def test_the_reserve_is_no_limit() -> None:
    """Where the bucket gives more, lookups take it."""
    limiter = SharedLimiter(FixedRate(4, 1), lambda: 7.0, reserved=5.0)
    for _ in range(4):
        with pytest.raises(StopIteration):
            limiter.acquire(Priority.LOOKUP).send(None)
    assert limiter.waiting == 0


def test_reads_and_starts_take_nothing_from_the_reserve() -> None:
    """They wait for the learned rate."""
    limiter = SharedLimiter(FixedRate(1, 1), lambda: 7.0, reserved=5.0)
    assert limiter.try_acquire() == 7.0
    assert limiter.try_acquire() is None


def test_the_read_bucket_has_a_reserve_and_the_bucket_of_starts_has_none() -> None:
    """A quarter of the published rate of reads: five lookups a second, whatever was learned."""
    who = ("123", "eu-west-1", object())
    assert SharedLimiter.shared(who, "reads", Pacing())._reserved == 5.0
    assert SharedLimiter.shared(who, "starts", Pacing())._reserved == 0.0


FORK = """
import asyncio, os, signal, threading, warnings
from aioecs._model.pacing import Pacing
from aioecs._runtime.shared_limiter import SharedLimiter

warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)  # from Python 3.12 on
limiter, held, over = SharedLimiter.shared("who", "starts", Pacing()), threading.Event(), threading.Event()

def hold():
    with limiter._lock:
        held.set()
        over.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
if not (child := os.fork()):
    signal.alarm(10)
    asyncio.run(SharedLimiter.shared("who", "starts", Pacing()).acquire())
    os._exit(0)
print(os.waitpid(child, 0)[1])
over.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_amid_a_grant_leaves_the_child_a_limiter_of_its_own() -> None:
    """The parent's may be locked for ever there, and its waiters are not there to take their permits."""
    ended = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("0\n", "")
