"""The calls on their way that bear an idempotency key: in one client, equal keys at the same time share one call."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar


class Ending(Protocol):
    """What is known of a call that bears a key."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        ...

    def end_or(self) -> asyncio.Future[None]:
        """Return a future that its end resolves."""
        ...


P = TypeVar("P", bound=Ending)


class Keys(Generic[P]):
    """Calls by key, each for as long as it is on its way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._known: dict[str, P] = {}

    def get(self, key: str) -> P | None:
        """Return the call of this key that is on its way, if there is one."""
        return self._known.get(key)

    def put(self, key: str, call: P) -> P:
        """Note a call until it is over, and return it."""
        self._known[key] = call
        self._forget_once_ended(key, call)
        return call

    def _forget_once_ended(self, key: str, call: P) -> None:
        """Forget it when it has ended, and a moment later still has: a cancel that comes together with the end takes
        the call up again, to stop what it started.
        """

        def forget() -> None:
            if not call.ended:
                self._forget_once_ended(key, call)
            elif self._known.get(key) is call:
                del self._known[key]

        call.end_or().add_done_callback(lambda _: self._loop.call_soon(forget))

    def __len__(self) -> int:
        return len(self._known)
