"""Notices that an event loop ends while a client is still open."""

from __future__ import annotations

import logging
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable

_log = logging.getLogger("aioecs")


async def watch_loop_end(left_open: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Await `left_open()` when the loop ends, or when nothing refers to the client any more.

    An event loop closes the async generators that are open at its end, and so this one, once it has been started. It is
    the only one that a client holds: several would be closed at the same time, each in the middle of the others.
    """
    try:
        yield
    finally:
        await left_open()


def warn_left_open(client: str, open_requests: int) -> None:
    """Say in the log, and by a ResourceWarning, that a client was never closed, and what to do about it."""
    lost = f", with {open_requests} requests in flight" if open_requests else ""
    text = f"{client} was left open at the end of its event loop{lost}: {REMEDY}"
    _log.warning("%s", text)
    warnings.warn(text, ResourceWarning, stacklevel=2)


REMEDY = "use `async with aioecs.Client(...)`, or `await client.aclose()`"
