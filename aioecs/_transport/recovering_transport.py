"""botocore's transport for the time being: the native one is tried again, for what kept it back may pass.

A credential source that failed while the client was opened is such a thing. The native transport is tried before a
request is sent, by one request at a time, after 5 s first and then ever less often.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from aioecs._model.attempt import Attempt
from aioecs._model.codec.shape import Shape
from aioecs._transport.botocore.botocore_transport import BotocoreTransport
from aioecs._transport.native.native_transport import NativeTransport
from aioecs._transport.redaction import shown
from aioecs._transport.transport import Operation, SentMarker

R = TypeVar("R", bound=Shape)

_FIRST, _LONGEST = 5.0, 60.0
"""Seconds until the native transport is tried again: at first, and at most."""
log = logging.getLogger("aioecs")


class RecoveringPort:
    """Sends by botocore's transport until the native one can be made, and by that from then on."""

    def __init__(
        self,
        plain: BotocoreTransport,
        native: Callable[[], Awaitable[NativeTransport | None]],
        who: Hashable = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the transport to begin with, and what makes the native one, or None where it never will.

        `who` is whose token buckets its requests take from; None if nobody else is known to take from them.
        """
        self.who = who if who is not None else self
        self._now = clock
        self._native: Callable[[], Awaitable[NativeTransport | None]] | None = native
        self._port: BotocoreTransport | NativeTransport = plain
        self._wait = _FIRST
        self._due = clock() + _FIRST
        self._trying = False

    @property
    def way(self) -> str:
        """How requests go now."""
        return self._port.way

    @property
    def endpoint_url(self) -> str:
        """Where requests go."""
        return self._port.endpoint_url

    @property
    def region(self) -> str:
        """The Region that requests are signed for."""
        return self._port.region

    @property
    def partition(self) -> str:
        """The partition of that Region."""
        return self._port.partition

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once, and say what came of it."""
        if self._native is not None and not self._trying and self._now() >= self._due:
            await self._try(self._native)
        return await self._port.attempt(operation, request, sent_marker)

    async def close(self) -> None:
        """Close the connections of the native transport, if it was made."""
        self._native = None
        await self._port.close()

    async def _try(self, make: Callable[[], Awaitable[NativeTransport | None]]) -> None:
        self._trying = True
        try:
            made = await make()
        except Exception as error:  # noqa: BLE001 the request goes on by botocore's transport, where it is judged
            log.debug("the native transport can't be made yet: %s", shown(error))
            self._wait = min(2 * self._wait, _LONGEST)
            self._due = self._now() + self._wait
        else:
            await self._take(made)
        finally:
            self._trying = False

    async def _take(self, made: NativeTransport | None) -> None:
        closed, self._native = self._native is None, None
        if made is not None and closed:
            await made.close()
        elif made is not None:
            self._port = made
            log.info("aioecs sends by the native transport from now on")
