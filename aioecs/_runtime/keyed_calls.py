"""The calls in progress that have an idempotency key: in one client, equal keys at the same time share one call."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar


class EndingCall(Protocol):
    """A call that ends."""

    @property
    def ended(self) -> bool:
        """Whether its outcome is final."""
        ...

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that is resolved at its end."""
        ...


P = TypeVar("P", bound=EndingCall)


class Keys(Generic[P]):
    """Calls by key, each for as long as it is in progress."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._known: dict[str, P] = {}

    def get(self, key: str) -> P | None:
        """Return the call in progress of this key, if there is one."""
        return self._known.get(key)

    def put(self, key: str, call: P) -> P:
        """Keep a call until it has ended, and return it."""
        self._known[key] = call
        self._forget_once_ended(key, call)
        return call

    def _forget_once_ended(self, key: str, call: P) -> None:
        """Forget it when it has ended, and a moment later still has: a cancel that arrives together with the end
        reopens the call, to stop what it started.
        """

        def forget() -> None:
            if not call.ended:
                self._forget_once_ended(key, call)
            elif self._known.get(key) is call:
                del self._known[key]

        call.end_waiter().add_done_callback(lambda _: self._loop.call_soon(forget))

    def __len__(self) -> int:
        return len(self._known)
