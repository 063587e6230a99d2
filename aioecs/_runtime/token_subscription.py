"""One token on one event loop: however many calls wait for it, it wakes the loop once."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

Wake = Callable[[], object]
Register = Callable[[Callable[[str | None], object], Callable[[], object]], Callable[[], None]]
"""Calls the first once a token is cancelled, the second whenever its deadline is set; returns what ends both."""


class Token(Protocol):
    """What a subscription needs of a CancelToken."""

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, or its deadline has passed."""
        ...

    @property
    def deadline(self) -> float | None:
        """When it cancels itself, on the clock of `time.monotonic`; None if never."""
        ...


def subscriptions_here() -> dict[Token, TokenSubscription]:
    """Return the subscriptions of the running loop, one for each token that a call waits for."""
    return _SUBSCRIPTIONS.setdefault(asyncio.get_running_loop(), {})


@contextmanager
def watch_token(token: Token, register: Register, wake: Wake) -> Generator[None]:
    """Call `wake()` on the running loop, once, when the token is cancelled; not after the block has ended.

    `register` is the token's own.
    """
    subscriptions = subscriptions_here()
    subscription = subscriptions.get(token)
    if subscription is None:
        subscription = subscriptions[token] = TokenSubscription(
            token, register, weakref.ref(asyncio.get_running_loop())
        )
    key = object()
    subscription.add(key, wake)
    try:
        yield
    finally:
        if subscription.remove(key) and subscriptions.get(token) is subscription:
            del subscriptions[token]


class TokenSubscription:
    """The calls that wait for one token on one event loop: the token wakes the loop once for all of them."""

    def __init__(self, token: Token, register: Register, loop: weakref.ref[asyncio.AbstractEventLoop]) -> None:
        self._token = token
        self._loop = loop
        self._wakes: dict[object, Wake] = {}
        self._clock: asyncio.TimerHandle | None = None
        self._end = register(self._cancelled, self._deadline_set)

    def add(self, key: object, wake: Wake) -> None:
        self._wakes[key] = wake
        if self._token.cancelled:
            asyncio.get_running_loop().call_soon(self._wake_all)
        elif self._clock is None:
            self._arm()

    def remove(self, key: object) -> bool:
        """Remove one, and return whether it was the last."""
        self._wakes.pop(key, None)
        if self._wakes:
            return False
        self._end()
        if self._clock is not None:
            self._clock.cancel()
        return True

    def _cancelled(self, _reason: str | None) -> None:
        self._call_on_loop(self._wake_all)

    def _deadline_set(self) -> None:
        self._call_on_loop(self._arm)

    def _call_on_loop(self, call: Callable[[], None]) -> None:
        """Call it on the loop, from any thread; a closed loop has no call left to wake."""
        loop = self._loop()
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

    def _arm(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        deadline = self._token.deadline
        if self._wakes and deadline is not None:
            # The token's clock is time.monotonic(); a loop may have one of its own.
            loop = asyncio.get_running_loop()
            self._clock = loop.call_later(max(0.0, deadline - time.monotonic()), self._check_deadline)

    def _check_deadline(self) -> None:
        if not self._token.cancelled:  # reading it cancels the token if its deadline has passed, and so wakes all
            self._arm()

    def _wake_all(self) -> None:
        for key in list(self._wakes):
            if (wake := self._wakes.pop(key, None)) is not None:
                wake()


_SUBSCRIPTIONS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Token, TokenSubscription]] = (
    weakref.WeakKeyDictionary()
)
