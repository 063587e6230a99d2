"""Admission control of an event loop: of many callers at once, a few are admitted in each pass of the loop.

A thousand gathered calls take their first steps in one pass of the loop, and each has a request to check and a call to
begin. If all were admitted at once, they would block the loop until the last of them is through. So once a pass has
spent a few milliseconds on its callers, the next ones are queued, and admitted over the passes that follow.

Each pass admits some of the queue: no caller in it waits for the network, or for another's call. So the cancel scopes
of queued callers aren't watched. A token that fires meanwhile is noticed when its caller is admitted.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from itertools import islice

from aioecs._runtime.cancellation_monitor import resolve

CALLERS_PER_CHECK = 8
"""Callers that a pass of the loop admits between two readings of the clock."""
ADMITTING_TIME = 0.002  # in seconds: how long one pass of the loop admits callers before it queues the next ones


class AdmissionGate:
    """Admits callers in order of arrival. Used only on its loop.

    A cancel while queued leaves the queue as if the caller had never arrived.
    """

    def __init__(self) -> None:
        self._callers = 0
        """Those that came in this pass."""
        self._began = 0.0
        """When the clock was first read in this pass."""
        self._share = CALLERS_PER_CHECK
        """How many queued callers a pass admits."""
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @classmethod
    def here(cls) -> AdmissionGate:
        """Return the running loop's gate, which all clients on it share."""
        loop = asyncio.get_running_loop()
        gate = _GATES.get(loop)
        if gate is None:
            gate = _GATES[loop] = cls()
        return gate

    @property
    def waiting(self) -> int:
        """How many are queued."""
        return len(self._queue)

    def try_admit(self) -> bool:
        """Return whether the caller is admitted at once; if not, it has to wait in `queue`.

        The clock is read once every few callers: a single caller costs one addition.
        """
        if self._queue:
            return False
        self._callers += 1
        if self._callers <= CALLERS_PER_CHECK or self._callers % CALLERS_PER_CHECK != 1:
            return True
        loop = asyncio.get_running_loop()
        if self._callers == CALLERS_PER_CHECK + 1:
            self._began = loop.time()
            loop.call_soon(self._next_pass)
        elif loop.time() - self._began >= ADMITTING_TIME:
            self._share = self._callers - 1
            return False
        return True

    async def queue(self) -> None:
        """Wait in the queue, after `try_admit` returned False, until admitted."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[waiter] = None
        try:
            await waiter
        finally:
            del self._queue[waiter]

    def _next_pass(self) -> None:
        """Admit as many callers as the last pass did, and again in the next pass while any are queued.

        An admitted caller leaves the queue with its next step, so that no later caller overtakes it.
        """
        self._callers = 0
        for waiter in list(islice(self._queue, self._share)):
            resolve(waiter)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._next_pass)


_GATES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AdmissionGate] = weakref.WeakKeyDictionary()
