"""A cancellation that any number of calls, tasks, threads and event loops can share."""

from __future__ import annotations

import asyncio
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
    """Return a function that calls the method if its object still exists."""

    def call(reason: str | None) -> None:
        bound = method()
        if bound is not None:
            bound(reason)

    return call


class CancelToken:
    """A token that cancels all calls it is passed to; like .NET's CancellationToken and its source in one.

    It may be cancelled from any thread and from a signal handler, at any time: it takes no lock that the code which the
    handler interrupted could hold. Each step that must happen once is one operation on a built-in container, which the
    interpreter carries out atomically.

    A token is cancelled once and for good; a second `cancel` changes nothing, the first reason remains.
    """

    __slots__ = (
        "__weakref__",
        "_ancestors",
        "_callbacks",
        "_calling",
        "_children",
        "_deadline_callbacks",
        "_deadlines",
        "_reason",
    )

    def __init__(self) -> None:
        self._reason: dict[str, str | None] = {}  # one entry at most, and `setdefault` keeps the first
        self._calling = False
        self._deadlines: list[float] = []  # each earlier than those before it, unless two were set at the same time
        # Each key is an object of its own: a shared counter could give two threads the same number without the GIL.
        self._callbacks: dict[object, Callback] = {}
        self._deadline_callbacks: dict[object, Callable[[], object]] = {}
        self._ancestors: tuple[weakref.ref[CancelToken], ...] = ()
        self._children: dict[object, weakref.ref[CancelToken]] = {}

    @classmethod
    def linked(cls, *tokens: CancelToken) -> CancelToken:
        """Make a token that is cancelled as soon as one of these is, or by itself.

        Both sides hold weak references: dropping either leaks nothing. The new token has their deadlines as well.
        """
        child = cls()
        inherited = [ancestor for token in tokens for ref in token._ancestors if (ancestor := ref()) is not None]
        parents = list(dict.fromkeys([*tokens, *inherited]))
        child._ancestors = tuple(weakref.ref(token) for token in parents)
        cancel = _weakly(weakref.WeakMethod(child.cancel))
        for token in parents:
            key = token._register(cancel)
            token._children[key] = weakref.ref(child)
            weakref.finalize(child, cls._forget_child, weakref.ref(token), key).atexit = False
            if token.deadline is not None:
                child._cancel_at(token.deadline)
        return child

    @staticmethod
    def _forget_child(parent: weakref.ref[CancelToken], key: object) -> None:
        """Remove a child that was garbage-collected from its parent, if that still exists."""
        token = parent()
        if token is not None:
            token._callbacks.pop(key, None)
            token._children.pop(key, None)

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
        """When it cancels itself, in seconds on the clock of `time.monotonic()`; None if it doesn't."""
        return min(self._deadlines, default=None)

    def cancel(self, reason: str | None = None) -> None:
        """Cancel it, from any thread or from a signal handler; the callbacks are called before this returns.

        A callback that raises doesn't stop the others: its error is logged. Callbacks that a KeyboardInterrupt prevents
        are called by the next `cancel`.
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
        """Cancel it after `seconds`, unless it is cancelled sooner; the earliest deadline counts.

        Nothing runs until then: each wait on the token sets a timer on its own loop.
        """
        self._cancel_at(time.monotonic() + max(0.0, seconds))

    def _cancel_at(self, deadline: float) -> None:
        if deadline < min(self._deadlines, default=float("inf")):
            self._deadlines.append(deadline)
            for key in list(self._deadline_callbacks):
                if (on_deadline := self._deadline_callbacks.get(key)) is not None:
                    on_deadline()
            for child in [ref() for ref in list(self._children.values())]:
                if child is not None:
                    child._cancel_at(deadline)

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
        """Remove a callback; nothing happens if it isn't registered, or was called already."""
        for key in list(self._callbacks):
            if self._callbacks.get(key) == callback:
                self._callbacks.pop(key, None)
                return

    def _register(self, callback: Callback) -> object:
        key = object()
        self._callbacks[key] = callback
        if self.cancelled:
            self._call(key)
        return key

    def _call(self, key: object) -> None:
        """Call one callback, unless it was called already: removing it first makes sure that it is called once."""
        callback = self._callbacks.pop(key, None)
        if callback is not None:
            try:
                callback(self.reason)
            except Exception:  # noqa: BLE001 it is the user's code, and must not stop the others
                _log.exception("a callback of a CancelToken raised; the others are called all the same")

    async def wait(self) -> str | None:
        """Wait until it is cancelled, and return the reason; a cancel of the wait leaves the token as it was."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with watch(self, lambda: None if woken.done() else woken.set_result(None)):
            await woken
        return self.reason

    def _on_cancel_or_deadline(self, call: Callback, on_deadline: Callable[[], object]) -> Callable[[], None]:
        """Call `call(reason)` once it is cancelled and `on_deadline()` whenever its deadline is set.

        Returns a function that unregisters both. It is for waits that set a timer on their own loop.
        """
        key = object()
        self._deadline_callbacks[key] = on_deadline
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
    register = token._on_cancel_or_deadline  # pyright: ignore[reportPrivateUsage] of this module
    return watch_token(token, register, wake)
