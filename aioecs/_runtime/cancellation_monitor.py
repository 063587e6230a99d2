"""One monitor per event loop for the tokens and plain cancel scopes that can end a wait.

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

from aioecs._runtime.cancel_token import CancelToken
from aioecs._runtime.token_subscription import Wake, watch_token
from aioecs.errors import InvalidRequest

TICK = 0.01  # in seconds, between two polls of the plain scopes

Cancellable = CancelToken | anyio.CancelScope


def fired(source: Cancellable) -> bool:
    """Return whether a scope or token was cancelled, or its deadline has passed."""
    if isinstance(source, CancelToken):
        return source.cancelled
    return source.cancel_called or source.deadline <= asyncio.get_running_loop().time()


def reason_of(source: object) -> str | None:
    """Return the reason a token was cancelled with; None for a scope, which has no public one."""
    return source.reason if isinstance(source, CancelToken) else None


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
    def watch(self, source: Cancellable | None, wake: Wake) -> Generator[None]:
        """Call `wake()` on this loop, once, when the source fires; not after the block has ended."""
        if source is None:
            yield
        elif isinstance(source, CancelToken):
            with watch_token(source, wake):
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


_MONITORS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, CancellationMonitor] = weakref.WeakKeyDictionary()
