"""A cancellation that any number of calls, tasks, threads and event loops can share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable

from aioecs.errors import StartCancelled

_log = logging.getLogger("aioecs")

Callback = Callable[[str | None], object]


def _weakly(method: weakref.WeakMethod[Callback]) -> Callback:
    """Return what calls the method if its object still lives."""

    def call(reason: str | None) -> None:
        bound = method()
        if bound is not None:
            bound(reason)

    return call


def _forget(callbacks: dict[int, Callback], heirs: dict[int, weakref.ref[CancelToken]], key: int) -> None:
    callbacks.pop(key, None)
    heirs.pop(key, None)


class CancelToken:
    """What .NET's CancellationToken and its source are in one: hand it to any number of calls, then cancel it.

    It works from any thread and from a signal handler, at any time: it takes no lock that a handler could find held
    by the very code that it interrupted. Each step that must happen once is one operation on a built-in container,
    which the interpreter carries out whole.

    A token is cancelled once and for good; a second `cancel` changes nothing, the first reason stands.
    """

    __slots__ = (
        "__weakref__",
        "_ancestors",
        "_callbacks",
        "_deadline",
        "_deadline_heard",
        "_heirs",
        "_keys",
        "_reason",
        "_unused",
    )

    def __init__(self) -> None:
        self._unused: deque[bool] = deque([True])  # whoever takes it out is the one who cancels
        self._reason: list[str | None] = []
        self._deadline: float | None = None
        self._keys = itertools.count()
        self._callbacks: dict[int, Callback] = {}
        self._deadline_heard: dict[int, Callable[[], object]] = {}
        self._ancestors: tuple[weakref.ref[CancelToken], ...] = ()
        self._heirs: dict[int, weakref.ref[CancelToken]] = {}

    @classmethod
    def linked(cls, *tokens: CancelToken) -> CancelToken:
        """Make a token that is cancelled as soon as one of these is, or by itself.

        It holds them weakly and they it: dropping either leaks nothing. A deadline that they have is taken over.
        """
        child = cls()
        grand = [ancestor for token in tokens for ref in token._ancestors if (ancestor := ref()) is not None]
        family = list(dict.fromkeys([*tokens, *grand]))
        child._ancestors = tuple(weakref.ref(token) for token in family)
        cancel = _weakly(weakref.WeakMethod(child.cancel))
        for token in family:
            key = token._register(cancel)
            token._heirs[key] = weakref.ref(child)
            weakref.finalize(child, _forget, token._callbacks, token._heirs, key).atexit = False
            if token._deadline is not None:
                child._cancel_at(token._deadline)
        return child

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, or its deadline has passed."""
        if not self._reason and self._deadline is not None and time.monotonic() >= self._deadline:
            self.cancel("deadline")
        return bool(self._reason)

    @property
    def reason(self) -> str | None:
        """What it was cancelled with: `deadline` if its time ran out; None before, or if no reason was given."""
        return self._reason[0] if self._reason else None

    @property
    def deadline(self) -> float | None:
        """When it cancels itself, on `time.monotonic()`'s clock in seconds; None if it doesn't."""
        return self._deadline

    def cancel(self, reason: str | None = None) -> None:
        """Cancel it, from any thread or from a signal handler; the callbacks are called before this returns.

        A callback that raises doesn't stop the others: what it raised is logged.
        """
        try:
            self._unused.pop()
        except IndexError:
            return
        self._reason.append(reason)
        for key in list(self._callbacks):
            self._call(key)

    def cancel_after(self, seconds: float) -> None:
        """Cancel it so many seconds from now, unless it is sooner cancelled; the earliest deadline counts.

        Nothing runs until then: whoever waits on the token watches the clock on its own loop.
        """
        self._cancel_at(time.monotonic() + max(0.0, seconds))

    def _cancel_at(self, deadline: float) -> None:
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            for key in list(self._deadline_heard):
                if (hear := self._deadline_heard.get(key)) is not None:
                    hear()
            for heir in [ref() for ref in list(self._heirs.values())]:
                if heir is not None:
                    heir._cancel_at(deadline)

    def raise_if_cancelled(self) -> None:
        """Raise StartCancelled, with no starts, if it was cancelled.

        Raises:
            StartCancelled: it was.
        """
        if self.cancelled:
            why = f" ({self.reason})" if self.reason else ""
            raise StartCancelled(f"cancelled{why}", reason=self.reason, source=self)

    def add_callback(self, callback: Callback) -> None:
        """Call `callback(reason)` when it is cancelled, in the thread that cancels; at once if it was already."""
        self._register(callback)

    def remove_callback(self, callback: Callback) -> None:
        """Take a callback back; nothing happens if it isn't there, or was called already."""
        for key, registered in list(self._callbacks.items()):
            if registered == callback:
                self._callbacks.pop(key, None)
                return

    def _register(self, callback: Callback) -> int:
        key = next(self._keys)
        self._callbacks[key] = callback
        if self.cancelled:
            self._call(key)
        return key

    def _call(self, key: int) -> None:
        """Call one callback, if nobody has yet: taking it out is what makes it once."""
        callback = self._callbacks.pop(key, None)
        if callback is not None:
            try:
                callback(self.reason)
            except Exception:  # noqa: BLE001 the user's; it must not stop the others
                _log.exception("a callback of a CancelToken raised; the others are called all the same")

    async def wait(self) -> str | None:
        """Wait until it is cancelled, and return the reason; a cancel of the wait leaves the token as it was."""
        from aioecs._run.hub import Hub, resolve

        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with Hub.here().watch(self, lambda: resolve(woken)):
            await woken
        return self.reason

    def on_cancel_or_deadline(self, call: Callback, hear: Callable[[], object]) -> Callable[[], None]:
        """Call `call(reason)` once it is cancelled and `hear()` whenever its deadline is set; return what ends both.

        For whoever waits on a loop and watches the clock there.
        """
        key = next(self._keys)
        self._deadline_heard[key] = hear
        self._callbacks[key] = call
        if self.cancelled:
            self._call(key)

        def end() -> None:
            self._callbacks.pop(key, None)
            self._deadline_heard.pop(key, None)

        return end

    def __repr__(self) -> str:
        state = f"cancelled: {self.reason}" if self._reason else "deadline set" if self._deadline else "not cancelled"
        return f"<CancelToken {state}>"
