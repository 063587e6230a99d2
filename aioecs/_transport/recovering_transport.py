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
from aioecs._transport.redaction import redacted_text
from aioecs._transport.transport import Operation, SentMarker

R = TypeVar("R", bound=Shape)

_FIRST_DELAY, _MAX_DELAY = 5.0, 60.0
"""Seconds until the native transport is tried again: at first, and at most."""
log = logging.getLogger("aioecs")


class RecoveringTransport:
    """Sends by botocore's transport until the native one can be made, and by that from then on."""

    def __init__(
        self,
        botocore_transport: BotocoreTransport,
        open_native: Callable[[], Awaitable[NativeTransport | None]],
        rate_limit_key: Hashable = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the transport to begin with, and what makes the native one, or None where it never will.

        `who` is whose token buckets its requests take from; None if nobody else is known to take from them.
        """
        self.rate_limit_key = rate_limit_key if rate_limit_key is not None else self
        self._now = clock
        self._open_native: Callable[[], Awaitable[NativeTransport | None]] | None = open_native
        self._current: BotocoreTransport | NativeTransport = botocore_transport
        self._delay = _FIRST_DELAY
        self._due = clock() + _FIRST_DELAY
        self._trying = False

    @property
    def kind(self) -> str:
        """How requests go now."""
        return self._current.kind

    @property
    def endpoint_url(self) -> str:
        """Where requests go."""
        return self._current.endpoint_url

    @property
    def region(self) -> str:
        """The Region that requests are signed for."""
        return self._current.region

    @property
    def partition(self) -> str:
        """The partition of that Region."""
        return self._current.partition

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once, and say what came of it."""
        if self._open_native is not None and not self._trying and self._now() >= self._due:
            await self._try_native(self._open_native)
        return await self._current.attempt(operation, request, sent_marker)

    async def close(self) -> None:
        """Close the connections of the native transport, if it was made."""
        self._open_native = None
        await self._current.close()

    async def _try_native(self, open_native: Callable[[], Awaitable[NativeTransport | None]]) -> None:
        self._trying = True
        try:
            opened = await open_native()
        except Exception as error:  # noqa: BLE001 the request goes on by botocore's transport, where it is judged
            log.debug("the native transport can't be made yet: %s", redacted_text(error))
            self._delay = min(2 * self._delay, _MAX_DELAY)
            self._due = self._now() + self._delay
        else:
            await self._adopt(opened)
        finally:
            self._trying = False

    async def _adopt(self, opened: NativeTransport | None) -> None:
        closed, self._open_native = self._open_native is None, None
        if opened is not None and closed:
            await opened.close()
        elif opened is not None:
            self._current = opened
            log.info("aioecs sends by the native transport from now on")
