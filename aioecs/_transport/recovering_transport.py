"""Sends by the botocore transport until the native transport can be opened.

The native transport may fail to open for a passing reason, such as a credential source that is down. One request at a
time tries to open it again before it is sent: 5 s later, and then after ever longer delays.
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
"""Seconds until the native transport is tried again: the first delay, and the longest."""
log = logging.getLogger("aioecs")


class RecoveringTransport:
    """Sends by the botocore transport until the native one can be opened, and by the native one from then on."""

    def __init__(
        self,
        botocore_transport: BotocoreTransport,
        open_native: Callable[[], Awaitable[NativeTransport | None]],
        rate_limit_key: Hashable = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the botocore transport and a function that opens the native one.

        `open_native` returns None where the native transport can never serve the configuration.
        Transports with an equal `rate_limit_key` share ECS's token buckets; None means that this one shares with none.
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
        """The transport in use now: `native` or `botocore`."""
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
        """Send the request once and return the outcome."""
        if self._open_native is not None and not self._trying and self._now() >= self._due:
            await self._try_native(self._open_native)
        return await self._current.attempt(operation, request, sent_marker)

    async def close(self) -> None:
        """Close the connections of the native transport, if it was opened."""
        self._open_native = None
        await self._current.close()

    async def _try_native(self, open_native: Callable[[], Awaitable[NativeTransport | None]]) -> None:
        self._trying = True
        try:
            opened = await open_native()
        except Exception as error:  # noqa: BLE001 the botocore transport sends the request, and reports the error
            log.debug("the native transport can't be opened yet: %s", redacted_text(error))
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
            log.info("aioecs uses the native transport from now on")
