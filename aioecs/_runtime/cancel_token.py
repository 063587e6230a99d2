"""A cancellation that any number of calls, tasks, threads and event loops can share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager

from aioecs._runtime.token_subscription import Wake, watch_token
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
        "_calling",
        "_deadline_callbacks",
        "_deadlines",
        "_heirs",
        "_keys",
        "_reason",
    )

    def __init__(self) -> None:
        self._reason: dict[str, str | None] = {}  # one entry at most, and `setdefault` keeps the first
        self._calling = False
        self._deadlines: list[float] = []  # each earlier than those before it, unless two came at the same time
        self._keys = itertools.count()
        self._callbacks: dict[int, Callback] = {}
        self._deadline_callbacks: dict[int, Callable[[], object]] = {}
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
            weakref.finalize(child, cls._disinherit, weakref.ref(token), key).atexit = False
            if token.deadline is not None:
                child._cancel_at(token.deadline)
        return child

    @staticmethod
    def _disinherit(parent: weakref.ref[CancelToken], key: int) -> None:
        """Let a parent that still lives forget a child that doesn't."""
        token = parent()
        if token is not None:
            token._callbacks.pop(key, None)
            token._heirs.pop(key, None)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, or its deadline has passed."""
        if not self._reason and self._deadlines and time.monotonic() >= min(self._deadlines):
            self.cancel("deadline")
        return bool(self._reason)

    @property
    def reason(self) -> str | None:
        """What it was cancelled with: `deadline` if its time ran out; None before, or if no reason was given."""
        return self._reason.get("reason")

    @property
    def deadline(self) -> float | None:
        """When it cancels itself, on `time.monotonic()`'s clock in seconds; None if it doesn't."""
        return min(self._deadlines, default=None)

    def cancel(self, reason: str | None = None) -> None:
        """Cancel it, from any thread or from a signal handler; the callbacks are called before this returns.

        A callback that raises doesn't stop the others: what it raised is logged. What a KeyboardInterrupt keeps from
        being called, the next `cancel` calls.
        """
        self._reason.setdefault("reason", reason)
        if self._calling:  # by another thread, or by the code that a handler, or a callback, has interrupted
            return
        self._calling = True
        try:
            for key in list(self._callbacks):
                self._call(key)
        finally:
            self._calling = False

    def cancel_after(self, seconds: float) -> None:
        """Cancel it so many seconds from now, unless it is sooner cancelled; the earliest deadline counts.

        Nothing runs until then: whoever waits on the token watches the clock on its own loop.
        """
        self._cancel_at(time.monotonic() + max(0.0, seconds))

    def _cancel_at(self, deadline: float) -> None:
        if deadline < min(self._deadlines, default=float("inf")):
            self._deadlines.append(deadline)
            for key in list(self._deadline_callbacks):
                if (deadline_set := self._deadline_callbacks.get(key)) is not None:
                    deadline_set()
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
        for key in list(self._callbacks):
            if self._callbacks.get(key) == callback:
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
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with watch(self, lambda: None if woken.done() else woken.set_result(None)):
            await woken
        return self.reason

    def _on_cancel_or_deadline(self, call: Callback, deadline_set: Callable[[], object]) -> Callable[[], None]:
        """Call `call(reason)` once it is cancelled, `deadline_set()` whenever its deadline is; return what ends both.

        For waits on a loop, which watch the clock there.
        """
        key = next(self._keys)
        self._deadline_callbacks[key] = deadline_set
        self._callbacks[key] = call
        if self.cancelled:
            self._call(key)

        def end() -> None:
            self._callbacks.pop(key, None)
            self._deadline_callbacks.pop(key, None)

        return end

    def __repr__(self) -> str:
        if self._reason:
            return f"<CancelToken cancelled{f': {self.reason}' if self.reason else ''}>"
        return f"<CancelToken {'deadline set' if self._deadlines else 'not cancelled'}>"


def watch(token: CancelToken, wake: Wake) -> AbstractContextManager[None]:
    """Call `wake()` on the running loop, once, when the token is cancelled; not after the block has ended."""
    register = token._on_cancel_or_deadline  # noqa: SLF001 of this module  # pyright: ignore[reportPrivateUsage]
    return watch_token(token, register, wake)
