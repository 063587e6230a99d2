"""Rate limiting for all clients of a process that share a bucket: the threads and loops around `rate_learner`.

A bucket belongs to an account and a Region, not to a client. All clients of a process that use it share one
`SharedLimiter`, on whatever loops and threads they run. A caller that can't have a permit at once waits in a queue: the
urgent first, then one permit for each batch in order, then by arrival. Nothing polls. Each loop that has waiters keeps
one timer, set to the time of the next permit as far as that is known; an answer that moves that time forward moves the
timers. Whichever loop wakes first grants the permits that are free, to the waiters of all loops.

Lookups and stops have a reserved rate in the read bucket. When the learned rate is lower, because others use the bucket
up or throttles come at random, they are sent at the reserved rate all the same: a start must not stay ambiguous because
its lookup was never sent.

The lock is held for arithmetic only: never across an await, and never while a waiter or another loop is woken. The
thread that holds it may take it again, since the garbage collector can end a waiting coroutine anywhere. Signal
handlers must not call this module.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Literal

from aioecs._logic.sending.rate_learner import RateLearner
from aioecs._logic.sending.rate_limiter import FixedRate, RateLimiter, Unlimited
from aioecs._model.pacing import Pacing
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.permit_waiters import LoopState, Waiter, WaitingBatch
from aioecs._runtime.registry import Registry

BucketName = Literal["starts", "reads"]

PUBLISHED: dict[BucketName, tuple[float, float]] = {"starts": (100.0, 40.0), "reads": (100.0, 20.0)}
"""Burst and calls a second of the cluster resources' modify and read actions.
[AmazonECS/latest/APIReference/request-throttling.html]"""

RESERVED = 0.25  # the part of the read bucket's published rate that is reserved for lookups and stops
REMEMBERED = 64  # buckets whose learned numbers outlive their clients, a kilobyte or so each
SLACK = 1e-6  # in seconds: a permit this near is due; loops fire their timers that exactly


def _monotonic() -> float:
    return time.monotonic()


class SharedLimiter:
    """Grants the permits of one bucket. Safe to use from any loop and thread.

    `reserved` is the rate, in calls a second, that lookups and stops have at least.
    """

    def __init__(self, limiter: RateLimiter, clock: Callable[[], float] = _monotonic, reserved: float = 0.0) -> None:
        self._limiter = limiter
        self._limits = not isinstance(limiter, Unlimited)
        self._reserved = reserved
        self._reserved_due = -math.inf
        self._clock = clock
        self._lock = threading.RLock()
        self._queues: dict[int, OrderedDict[int, WaitingBatch]] = {}
        self._loops: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._waiting = 0
        self._ahead = 0
        self._rounds = 0

    @classmethod
    def shared(cls, who: Hashable, bucket: BucketName, pacing: Pacing | None) -> SharedLimiter:
        """Return the limiter of the bucket that `who` uses: the same one for equal values.

        `pacing` None means no rate limit; its numbers pin the bucket of the starts only.
        """
        if pacing is None:
            return cls(Unlimited())
        if bucket == "reads":
            reserved = RESERVED * PUBLISHED[bucket][1]
            return _REGISTRY.get((who, bucket), lambda: cls(RateLearner(*PUBLISHED[bucket]), reserved=reserved))
        if pacing.burst is None or pacing.rate is None:
            return _REGISTRY.get((who, bucket), lambda: cls(RateLearner(*PUBLISHED[bucket])))
        fixed = FixedRate(pacing.burst, pacing.rate)
        return _REGISTRY.get((who, bucket, pacing), lambda: cls(fixed))

    @property
    def rate(self) -> float:
        """The rate that the bucket is estimated to admit in the long run, in calls a second."""
        return self._limiter.rate

    @property
    def waiting(self) -> int:
        """Number of callers that wait for a permit."""
        return self._waiting

    def __repr__(self) -> str:
        return f"<SharedLimiter {self._limiter!r} waiting={self._waiting} loops={len(self._loops)}>"

    # --------------------------------------------------------------------------------------------------- taking permits

    async def acquire(self, urgency: int = 0, left: Callable[[], int | None] | None = None, of: object = None) -> float:
        """Wait for a permit and return it, the time it was granted, which goes back with `answered` or `unsent`.

        Lower urgency goes first, then each batch (`of`) in order, then order of arrival. `left()` returns how many
        calls the batch has still to send, this one included. A permit that is free at once is taken without yielding to
        the loop. A cancel while waiting leaves everything as if the caller had never arrived, also when the permit is
        granted at the same moment.
        """
        if not self._limits:
            return 0.0
        ahead = left() if left is not None else None
        with self._lock:
            if not self._waiting and (at := self._take(ahead or 1, urgency)) is not None:
                return at
            waiter = self._enqueue(urgency, ahead or 1, of)
        try:
            self._grant()
            await waiter.future
        except BaseException:
            self._dequeue(waiter)
            raise
        return waiter.at

    def try_acquire(self) -> float | None:
        """Take a permit if one is free right now and no caller waits for it; else return None."""
        if not self._limits:
            return 0.0
        with self._lock:
            return None if self._waiting else self._take(1, Priority.START)

    def wait_hint(self) -> float:
        """Return how long a new permit would wait now, in seconds, as far as is known."""
        with self._lock:
            now = self._clock()
            at = self._limiter.next_at(now, self._ahead + 1)
            soonest = 1 / self._limiter.rate if at is None else max(0.0, at - now)
            return soonest + self._waiting / self._limiter.rate

    def answered(self, at: float, throttled: bool) -> None:
        """Note that the call of this permit has ended, and whether ECS throttled it."""
        if not self._limits:
            return
        with self._lock:
            self._limiter.answered(self._clock(), not throttled, at)
        if self._waiting:
            self._grant()

    def unsent(self, at: float) -> None:
        """Give back a permit with which nothing was sent."""
        if not self._limits:
            return
        with self._lock:
            self._limiter.unsent(self._clock(), at)
        if self._waiting:
            self._grant()

    def _take(self, ahead: int, urgency: int) -> float | None:
        now = self._clock()
        at = self._due(now, ahead, urgency)
        if at is None or at > now + SLACK:
            return None
        self._note_taken(now, urgency)
        return now

    def _due(self, now: float, ahead: int, urgency: int) -> float | None:
        """Return when the next call of this urgency may be sent: lookups and stops at the reserved rate at least."""
        due = self._limiter.next_at(now, ahead)
        if self._reserved and urgency <= Priority.LOOKUP:
            reserved = max(now, self._reserved_due)
            return reserved if due is None else min(due, reserved)
        return due

    def _note_taken(self, now: float, urgency: int) -> None:
        """Note that a permit was taken."""
        self._limiter.sent(now)
        if self._reserved and urgency <= Priority.LOOKUP:
            self._reserved_due = now + 1 / self._reserved

    # ------------------------------------------------------------------------------------------------------ the queue

    def _enqueue(self, urgency: int, ahead: int, of: object) -> Waiter:
        loop = asyncio.get_running_loop()
        state = self._loops.get(loop)
        if state is None:
            for each in [each for each in self._loops.values() if each.loop.is_closed()]:
                self._drop_loop(each)
            state = self._loops[loop] = LoopState(loop)
        queue = self._queues.setdefault(urgency, OrderedDict())
        batch = queue.get(id(of))
        if batch is None:
            batch = queue[id(of)] = WaitingBatch(of, urgency)
        waiter = Waiter(loop.create_future(), state, batch)
        batch.queue.append(waiter)
        batch.waiting += 1
        state.waiting += 1
        self._waiting += 1
        self._count_ahead(batch, ahead)
        return waiter

    def _dequeue(self, waiter: Waiter) -> None:
        """Remove a cancelled waiter; a permit that it was granted goes to the next."""
        with self._lock:
            if waiter.granted:
                self._limiter.unsent(self._clock(), waiter.at)
            elif not waiter.gone and not waiter.state.closed:
                self._remove(waiter)
        if self._waiting:
            self._grant()

    def _remove(self, waiter: Waiter) -> None:
        """Remove a waiter from the counts; its queue skips it later."""
        batch = waiter.batch
        waiter.gone = True
        waiter.state.waiting -= 1
        self._waiting -= 1
        batch.waiting -= 1
        self._count_ahead(batch, batch.ahead - 1)
        if not batch.waiting:
            queue = self._queues[batch.urgency]
            del queue[id(batch.of)]
            if not queue:
                del self._queues[batch.urgency]

    def _count_ahead(self, batch: WaitingBatch, ahead: int) -> None:
        ahead = max(ahead, batch.waiting) if batch.waiting else 0
        self._ahead += ahead - batch.ahead
        batch.ahead = ahead

    def _drop_loop(self, state: LoopState) -> None:
        """Drop a closed loop with all its waiters."""
        state.closed = True
        self._loops.pop(state.loop, None)
        for batch in [batch for queue in self._queues.values() for batch in queue.values()]:
            for waiter in [each for each in batch.queue if each.state is state and not each.gone]:
                self._remove(waiter)

    # ------------------------------------------------------------------------------------------------- granting permits

    def _grant(self) -> None:
        """Grant the permits that are free, and set the timer of every loop for the next one."""
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        again = True
        while again:
            with self._lock:
                granted, due = self._grant_round()
                late = self._late_loops(due)
            again = not all(
                [*(self._wake_waiter(each, here) for each in granted), *(self._wake_loop(each, here) for each in late)]
            )

    def _grant_round(self) -> tuple[list[Waiter], float | None]:
        """Grant permits from the front of the queue, at most one per batch; return when there are more.

        A batch that acquires one permit at a time is back in the queue before the next round, so it gets as many as a
        batch that has a thousand waiters.
        """
        now = self._clock()
        self._rounds += 1
        ahead = self._ahead
        granted: list[Waiter] = []
        while self._waiting:
            urgency = min(self._queues)
            due = self._due(now, ahead - len(granted), urgency)
            if due is None or due > now + SLACK:
                return granted, due
            queue = self._queues[urgency]
            batch = next(iter(queue.values()))
            if batch.round == self._rounds:
                return granted, now
            batch.round = self._rounds
            waiter = batch.queue.popleft()
            while waiter.gone:
                waiter = batch.queue.popleft()
            queue.move_to_end(id(batch.of))
            self._remove(waiter)
            waiter.at, waiter.granted = now, True
            self._note_taken(now, urgency)
            granted.append(waiter)
        return granted, None

    def _late_loops(self, due: float | None) -> list[LoopState]:
        """Return the loops whose timers are set too late, and note the earlier time for them."""
        if due is None:
            return []
        late = [each for each in self._loops.values() if each.waiting and (each.due is None or each.due > due + SLACK)]
        for state in late:
            state.due = due
        return late

    def _wake_waiter(self, waiter: Waiter, here: asyncio.AbstractEventLoop | None) -> bool:
        """Wake a waiter that has a permit; False if its loop is closed, and the permit is free again."""
        if waiter.state.loop is here:
            resolve(waiter.future)
            return True
        if self._call_on_loop(waiter.state, lambda: resolve(waiter.future)):
            return True
        with self._lock:
            if waiter.granted:
                self._limiter.unsent(self._clock(), waiter.at)
                waiter.granted = False
        return False

    def _wake_loop(self, state: LoopState, here: asyncio.AbstractEventLoop | None) -> bool:
        if state.loop is here:
            self._set_timer(state)
            return True
        return self._call_on_loop(state, lambda: self._set_timer(state))

    def _call_on_loop(self, state: LoopState, call: Callable[[], None]) -> bool:
        """Call it on the loop, from any thread; False if the loop is closed and was dropped."""
        try:
            state.loop.call_soon_threadsafe(call)
        except RuntimeError:
            with self._lock:
                self._drop_loop(state)
            return False
        return True

    def _set_timer(self, state: LoopState) -> None:
        if state.timer is not None:
            state.timer.cancel()
        wait = 0.0 if state.due is None else state.due - self._clock()
        if wait > SLACK:
            state.timer = state.loop.call_later(wait, self._timer_fired, state)
        else:
            state.timer = state.loop.call_soon(self._timer_fired, state)

    def _timer_fired(self, state: LoopState) -> None:
        with self._lock:
            state.timer = state.due = None
            if not state.waiting and self._loops.get(state.loop) is state:
                del self._loops[state.loop]
        if self._waiting:
            self._grant()


_REGISTRY: Registry[SharedLimiter] = Registry(REMEMBERED)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_REGISTRY.clear)
