"""The callers that wait for a permit of a shared limiter, by batch and by event loop."""

from __future__ import annotations

import asyncio
from collections import deque

import attrs


@attrs.define(eq=False)
class LoopState:
    """A loop that has waiters, and its timer."""

    loop: asyncio.AbstractEventLoop
    waiting: int = 0
    due: float | None = None
    """The time that the timer is set to, or is being set to."""
    timer: asyncio.Handle | None = None
    """Touched on its own loop only."""
    closed: bool = False


@attrs.define(eq=False)
class WaitingBatch:
    """The waiters of one batch."""

    of: object
    urgency: int
    queue: deque[Waiter] = attrs.Factory(deque)
    waiting: int = 0
    ahead: int = 0
    """Calls that it has still to send, as far as it reported."""
    round: int = -1
    """The last round in which it was granted a permit."""


@attrs.define(eq=False)
class Waiter:
    """One caller that waits for a permit."""

    future: asyncio.Future[None]
    state: LoopState
    batch: WaitingBatch
    at: float = 0.0
    """The time it was granted, once it has its permit."""
    granted: bool = False
    gone: bool = False
