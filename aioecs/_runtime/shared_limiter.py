"""Whose turn it is to send: the shell around the arithmetic of `_plan.pacing`.

A bucket belongs to an account and a Region, not to a client: all clients of a process that drink from it share one
`Pace`, on whatever loops and threads they run. Who asks for a turn while none is free waits in line: the urgent first,
then one turn for each batch in order, then by arrival. Nobody polls. Each loop that has waiters keeps one timer, at the
moment of the next turn as far as that is known; an answer that moves the moment forward moves the timers. Whichever
loop wakes first hands out what is free, to all of them.

The lock is held for arithmetic only: never across an await, and never while a waiter or another loop is woken. It may
be taken again by the thread that holds it, since the garbage collector can end a waiting coroutine anywhere. Signal
handlers should leave all of this alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Literal

import attrs

from aioecs._logic.sending.rate_learner import Pacer
from aioecs._logic.sending.rate_limiter import Fixed, Pulse, Unpaced
from aioecs._model.pacing import Pacing
from aioecs._runtime.cancellation_monitor import resolve

BucketName = Literal["starts", "reads"]

PUBLISHED: dict[BucketName, tuple[float, float]] = {"starts": (100.0, 40.0), "reads": (100.0, 20.0)}
"""Burst and calls a second of the cluster resources' modify and read actions.
[AmazonECS/latest/APIReference/request-throttling.html]"""

REMEMBERED = 64  # buckets whose numbers outlive their clients, a kilobyte or so each
SLACK = 1e-6  # in seconds: a turn so near is due; loops fire their timers that exactly


def _monotonic() -> float:
    return time.monotonic()


@attrs.define(eq=False)
class _Side:
    """A loop that has waiters, and its timer."""

    loop: asyncio.AbstractEventLoop
    waiting: int = 0
    due: float | None = None
    """The moment that the timer is set to, or is being set to."""
    timer: asyncio.Handle | None = None
    """Touched on its own loop only."""
    closed: bool = False


@attrs.define(eq=False)
class _Batch:
    """Those who wait on behalf of one batch."""

    of: object
    urgency: int
    queue: deque[_Waiter] = attrs.Factory(deque)
    waiting: int = 0
    ahead: int = 0
    """Calls that it has still to send, as far as it told."""
    sweep: int = -1
    """The last one in which it was given a turn."""


@attrs.define(eq=False)
class _Waiter:
    future: asyncio.Future[None]
    side: _Side
    batch: _Batch
    at: float = 0.0
    """The ticket, once it has its turn."""
    served: bool = False
    gone: bool = False


class SharedLimiter:
    """The turns of one bucket. Safe to use from any loop and thread."""

    def __init__(self, pulse: Pulse, clock: Callable[[], float] = _monotonic) -> None:
        self._pulse = pulse
        self._clock = clock
        self._lock = threading.RLock()
        self._lines: dict[int, OrderedDict[int, _Batch]] = {}
        self._sides: dict[asyncio.AbstractEventLoop, _Side] = {}
        self._waiting = 0
        self._ahead = 0
        self._sweeps = 0

    @classmethod
    def shared(cls, who: Hashable, bucket: BucketName, pacing: Pacing | None) -> SharedLimiter:
        """Return the pace of the bucket that `who` drinks from: the same one for all who are equal.

        `pacing` None sends as fast as asked; its numbers pin the bucket of the starts only.
        """
        if pacing is None:
            return cls(Unpaced())
        if bucket == "reads" or pacing.burst is None or pacing.rate is None:
            return _REGISTRY.get((who, bucket), lambda: cls(Pacer(*PUBLISHED[bucket])))
        fixed = Fixed(pacing.burst, pacing.rate)
        return _REGISTRY.get((who, bucket, pacing), lambda: cls(fixed))

    @property
    def rate(self) -> float:
        """Calls a second that the bucket is thought to let through in the long run."""
        return self._pulse.rate

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return self._waiting

    def __repr__(self) -> str:
        return f"<Pace {self._pulse!r} waiting={self._waiting} loops={len(self._sides)}>"

    # --------------------------------------------------------------------------------------------------- taking turns

    async def turn(self, urgency: int = 0, left: Callable[[], int | None] | None = None, of: object = None) -> float:
        """Wait for a turn and return its ticket, which goes back with `answered` or `unsent`.

        Lower urgency goes first, then each batch (`of`) in order, then who came first. `left` tells how many calls the
        batch has still to send, this one included. A turn that is free at once is taken without a visit to the loop.
        A cancel while waiting leaves everything as if it had never come, also when the turn came at the same moment.
        """
        ahead = left() if left is not None else None
        with self._lock:
            if not self._waiting and (at := self._take(ahead or 1)) is not None:
                return at
            waiter = self._enter(urgency, ahead or 1, of)
        try:
            self._serve()
            await waiter.future
        except BaseException:
            self._leave(waiter)
            raise
        return waiter.at

    def try_acquire(self) -> float | None:
        """Take a turn if one is free right now and nobody waits for it; else return None."""
        with self._lock:
            return None if self._waiting else self._take(1)

    def wait_hint(self) -> float:
        """Return how long a new turn would wait now, in seconds, as far as is known."""
        with self._lock:
            now = self._clock()
            at = self._pulse.next_at(now, self._ahead + 1)
            soonest = 1 / self._pulse.rate if at is None else max(0.0, at - now)
            return soonest + self._waiting / self._pulse.rate

    def answered(self, at: float, throttled: bool) -> None:
        """Tell that the call of this ticket has ended, and whether ECS throttled it."""
        with self._lock:
            self._pulse.answered(self._clock(), not throttled, at)
        if self._waiting:
            self._serve()

    def unsent(self, at: float) -> None:
        """Give back a turn with which nothing was sent."""
        with self._lock:
            self._pulse.unsent(self._clock(), at)
        if self._waiting:
            self._serve()

    def _take(self, ahead: int) -> float | None:
        now = self._clock()
        at = self._pulse.next_at(now, ahead)
        if at is None or at > now + SLACK:
            return None
        self._pulse.sent(now)
        return now

    # ------------------------------------------------------------------------------------------------------ the line

    def _enter(self, urgency: int, ahead: int, of: object) -> _Waiter:
        loop = asyncio.get_running_loop()
        side = self._sides.get(loop)
        if side is None:
            for each in [each for each in self._sides.values() if each.loop.is_closed()]:
                self._forget(each)
            side = self._sides[loop] = _Side(loop)
        line = self._lines.setdefault(urgency, OrderedDict())
        batch = line.get(id(of))
        if batch is None:
            batch = line[id(of)] = _Batch(of, urgency)
        waiter = _Waiter(loop.create_future(), side, batch)
        batch.queue.append(waiter)
        batch.waiting += 1
        side.waiting += 1
        self._waiting += 1
        self._count(batch, ahead)
        return waiter

    def _leave(self, waiter: _Waiter) -> None:
        """Undo a waiter's having come; a turn that it was given goes to the next."""
        with self._lock:
            if waiter.served:
                self._pulse.unsent(self._clock(), waiter.at)
            elif not waiter.gone and not waiter.side.closed:
                self._out(waiter)
        if self._waiting:
            self._serve()

    def _out(self, waiter: _Waiter) -> None:
        """Take a waiter out of the counts; in its queue it is passed over."""
        batch = waiter.batch
        waiter.gone = True
        waiter.side.waiting -= 1
        self._waiting -= 1
        batch.waiting -= 1
        self._count(batch, batch.ahead - 1)
        if not batch.waiting:
            line = self._lines[batch.urgency]
            del line[id(batch.of)]
            if not line:
                del self._lines[batch.urgency]

    def _count(self, batch: _Batch, ahead: int) -> None:
        ahead = max(ahead, batch.waiting) if batch.waiting else 0
        self._ahead += ahead - batch.ahead
        batch.ahead = ahead

    def _forget(self, side: _Side) -> None:
        """Drop a closed loop with all its waiters."""
        side.closed = True
        self._sides.pop(side.loop, None)
        for batch in [batch for line in self._lines.values() for batch in line.values()]:
            for waiter in [each for each in batch.queue if each.side is side and not each.gone]:
                self._out(waiter)

    # ------------------------------------------------------------------------------------------------- handing it out

    def _serve(self) -> None:
        """Hand out the turns that are free, and see to it that every loop wakes for the next one."""
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        again = True
        while again:
            with self._lock:
                given, due = self._sweep()
                late = self._to_wake(due)
            again = not all([*(self._give(each, here) for each in given), *(self._wake(each, here) for each in late)])

    def _sweep(self) -> tuple[list[_Waiter], float | None]:
        """Give turns to those at the head of the line, at most one per batch, and return when there are more.

        A batch that asks for one turn at a time is back in line before the next sweep, so it gets no less than one
        that has a thousand waiters.
        """
        now = self._clock()
        self._sweeps += 1
        ahead = self._ahead
        given: list[_Waiter] = []
        while self._waiting:
            due = self._pulse.next_at(now, ahead - len(given))
            if due is None or due > now + SLACK:
                return given, due
            line = self._lines[min(self._lines)]
            batch = next(iter(line.values()))
            if batch.sweep == self._sweeps:
                return given, now
            batch.sweep = self._sweeps
            waiter = batch.queue.popleft()
            while waiter.gone:
                waiter = batch.queue.popleft()
            line.move_to_end(id(batch.of))
            self._out(waiter)
            waiter.at, waiter.served = now, True
            self._pulse.sent(now)
            given.append(waiter)
        return given, None

    def _to_wake(self, due: float | None) -> list[_Side]:
        """Return the loops whose timers come too late, and note the moment for them."""
        if due is None:
            return []
        late = [each for each in self._sides.values() if each.waiting and (each.due is None or each.due > due + SLACK)]
        for side in late:
            side.due = due
        return late

    def _give(self, waiter: _Waiter, here: asyncio.AbstractEventLoop | None) -> bool:
        """Wake one who has a turn; False if its loop is closed, and the turn is free again."""
        if waiter.side.loop is here:
            resolve(waiter.future)
            return True
        if self._over_to(waiter.side, lambda: resolve(waiter.future)):
            return True
        with self._lock:
            if waiter.served:
                self._pulse.unsent(self._clock(), waiter.at)
                waiter.served = False
        return False

    def _wake(self, side: _Side, here: asyncio.AbstractEventLoop | None) -> bool:
        if side.loop is here:
            self._set_timer(side)
            return True
        return self._over_to(side, lambda: self._set_timer(side))

    def _over_to(self, side: _Side, call: Callable[[], None]) -> bool:
        """Call it on the loop, from whatever thread; False if it is closed and has been forgotten."""
        try:
            side.loop.call_soon_threadsafe(call)
        except RuntimeError:
            with self._lock:
                self._forget(side)
            return False
        return True

    def _set_timer(self, side: _Side) -> None:
        if side.timer is not None:
            side.timer.cancel()
        wait = 0.0 if side.due is None else side.due - self._clock()
        if wait > SLACK:
            side.timer = side.loop.call_later(wait, self._ring, side)
        else:
            side.timer = side.loop.call_soon(self._ring, side)

    def _ring(self, side: _Side) -> None:
        with self._lock:
            side.timer = side.due = None
            if not side.waiting and self._sides.get(side.loop) is side:
                del self._sides[side.loop]
        if self._waiting:
            self._serve()


class _Registry:
    """The paces of the process: those in use, and the latest of the others for what they have learnt."""

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[Hashable, SharedLimiter] = weakref.WeakValueDictionary()
        self._latest: OrderedDict[Hashable, SharedLimiter] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], SharedLimiter]) -> SharedLimiter:
        """Return the one of this key, made if there is none."""
        with self._lock:
            pace = self._known.get(key)
            if pace is None:
                pace = self._known[key] = make()
            self._latest[key] = pace
            self._latest.move_to_end(key)
            if len(self._latest) > self._remembered:
                self._latest.popitem(last=False)
            return pace


_REGISTRY = _Registry(REMEMBERED)
