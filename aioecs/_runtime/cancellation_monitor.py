"""One monitor per event loop for all that can end a wait: tokens, plain cancel scopes and time limits.

A token wakes the loop once, however many calls wait on it. A plain `anyio.CancelScope` can be entered only once, and
that is left to its caller: it is polled, never entered, every `TICK` seconds and only while a call waits with one. So
it works entered or not, by this task, a parent or an unrelated one, before, during or after the call.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Generator
from contextlib import contextmanager

import anyio

from aioecs._logic.calls.time_limit import TimeLimit
from aioecs._model import limits
from aioecs._runtime.cancel_token import CancelToken, watch
from aioecs._runtime.token_subscription import Wake
from aioecs.errors import InvalidRequest

TICK = 0.01  # in seconds, between two polls of the plain scopes

Cancellable = CancelToken | anyio.CancelScope
"""What callers pass as `cancel_scope`."""
Source = Cancellable | TimeLimit
"""What cancels a call: the caller's `cancel_scope`, or its `timeout` with or without one."""


def fired(source: Source) -> bool:
    """Return whether a scope or token was cancelled, or its deadline has passed."""
    return fired_part(source) is not None


def fired_part(source: Source | None) -> Source | None:
    """Return what has fired of a source: the scope or token, or the time limit beside it; None if nothing has."""
    if source is None or isinstance(source, CancelToken):
        return source if source is not None and source.cancelled else None
    if isinstance(source, TimeLimit):
        given = fired_part(_scope_beside(source))
        return given or (source if source.ends <= asyncio.get_running_loop().time() else None)
    return source if source.cancel_called or source.deadline <= asyncio.get_running_loop().time() else None


def fired_after(first: Source | None, source: Source | None) -> bool:
    """Return whether a source has fired a second time; None as the `first` is a cancel of the caller's task.

    After a time limit, that is the scope or token beside it. After a cancel of the task it is a token: a scope may be
    the very one that has cancelled the task.
    """
    part = fired_part(source)
    return part is not first if isinstance(first, TimeLimit) else first is None and isinstance(part, CancelToken)


def reason_of(fired: Source | None) -> str | None:
    """Return what a token was cancelled with, or `timeout`; a scope has no public reason."""
    if isinstance(fired, TimeLimit):
        return "timeout"
    return fired.reason if isinstance(fired, CancelToken) else None


def _scope_beside(limit: TimeLimit) -> Cancellable | None:
    """Return the scope or token that was passed with a timeout; None if none was."""
    return limit.source if isinstance(limit.source, (CancelToken, anyio.CancelScope)) else None


def source_of(cancel_scope: Cancellable | None, timeout: float | None) -> Source | None:
    """Return what cancels a call that begins now: its `cancel_scope`, and its `timeout` in seconds.

    Raises:
        InvalidRequest: the scope is neither a scope nor a token, or the timeout is no number of seconds.
    """
    expect(cancel_scope)
    if timeout is None or limits.not_negative(timeout, "timeout") == float("inf"):
        return cancel_scope
    return TimeLimit(timeout, asyncio.get_running_loop().time() + timeout, cancel_scope)


def expect(source: object) -> None:
    """Check that what was passed as `cancel_scope` can be watched.

    Raises:
        InvalidRequest: it is neither a scope nor a token.
    """
    if source is not None and not isinstance(source, (CancelToken, anyio.CancelScope)):
        raise InvalidRequest("cancel_scope", "a CancelToken or an anyio.CancelScope", f"a {type(source).__name__}")


def resolve(waiter: asyncio.Future[None]) -> None:
    """Set the future's result, unless it is done already."""
    if not waiter.done():
        waiter.set_result(None)


class CancellationMonitor:
    """Watches the scopes and tokens of one loop; used on that loop alone."""

    def __init__(self) -> None:
        self._keys = itertools.count()
        self._scopes: dict[int, tuple[anyio.CancelScope, Wake]] = {}
        self._ticking = False

    @classmethod
    def here(cls) -> CancellationMonitor:
        """Return the running loop's monitor."""
        loop = asyncio.get_running_loop()
        monitor = _MONITORS.get(loop)
        if monitor is None:
            monitor = _MONITORS[loop] = cls()
        return monitor

    @contextmanager
    def watch(self, source: Source | None, wake: Wake) -> Generator[None]:
        """Call `wake()` on this loop when the source fires; not after the block has ended.

        It is called once, or twice for a time limit with a scope or token beside it: once for each.
        """
        if source is None:
            yield
        elif isinstance(source, CancelToken):
            with watch(source, wake):
                yield
        elif isinstance(source, TimeLimit):
            with self.watch(_scope_beside(source), wake), _watch_clock(source.ends, wake):
                yield
        else:
            with self._watch_scope(source, wake):
                yield

    @contextmanager
    def _watch_scope(self, scope: anyio.CancelScope, wake: Wake) -> Generator[None]:
        key = next(self._keys)
        self._scopes[key] = (scope, wake)
        if not self._ticking:
            self._tick()
        elif fired(scope):
            del self._scopes[key]
            wake()
        try:
            yield
        finally:
            self._scopes.pop(key, None)

    def _tick(self) -> None:
        """Poll every scope, and again after `TICK` seconds while there are any."""
        scopes = {id(scope): scope for scope, _ in self._scopes.values()}
        over = {name for name, scope in scopes.items() if fired(scope)}
        due = [key for key, (scope, _) in self._scopes.items() if id(scope) in over]
        self._ticking = len(due) < len(self._scopes)
        if self._ticking:
            asyncio.get_running_loop().call_later(TICK, self._tick)
        for key in due:
            if (watched := self._scopes.pop(key, None)) is not None:
                watched[1]()


@contextmanager
def _watch_clock(ends: float, wake: Wake) -> Generator[None]:
    """Call `wake()` once the running loop's clock has come to `ends`; not after the block has ended."""
    alarm = _Alarm(ends, wake)
    try:
        yield
    finally:
        alarm.timer.cancel()


class _Alarm:
    """A timer that never wakes early: a loop runs its own early by its clock's resolution."""

    def __init__(self, ends: float, wake: Wake) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = ends
        self._wake = wake
        self.timer = self._loop.call_at(ends, self._due)

    def _due(self) -> None:
        if self._loop.time() < self._ends:
            self.timer = self._loop.call_at(self._ends, self._due)
        else:
            self._wake()


_MONITORS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, CancellationMonitor] = weakref.WeakKeyDictionary()
