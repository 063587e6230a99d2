"""Admission control of an event loop: of many callers at once, a few are admitted in each pass of the loop.

A thousand gathered calls take their first steps in one pass of the loop, and each has a request to check and a call to
begin. Let in all at once, they keep everybody else from the loop until the last of them is through. So once a pass has
spent a few milliseconds on its callers, the next ones are queued, and admitted over the passes that follow.

The line moves by itself, as fast as the loop goes round: nobody in it waits for the network, or for another's call.
So nothing watches those who stand in it. A token that fires meanwhile is heard when its caller is let in.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from itertools import islice

from aioecs._runtime.cancellation_monitor import resolve

FEW = 8
"""Callers that a pass lets in between two looks at the clock."""
SPELL = 0.002  # in seconds: how long one pass of the loop admits callers before it queues the next ones


class AdmissionGate:
    """Lets callers in, in order of arrival. Met only on its loop.

    A cancel in line leaves it as if one had never come.
    """

    def __init__(self) -> None:
        self._came = 0
        self._began = 0.0
        self._share = FEW
        self._line: OrderedDict[asyncio.Future[None], None] = OrderedDict()

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
        return len(self._line)

    def admits(self) -> bool:
        """Tell whether the one who comes now may go in at once; whoever may not is to `queue`.

        Only every few callers cost a visit to the loop and a look at the clock: one that comes alone pays for a count.
        """
        if self._line:
            return False
        self._came += 1
        if self._came <= FEW or self._came % FEW != 1:
            return True
        loop = asyncio.get_running_loop()
        if self._came == FEW + 1:
            self._began = loop.time()
            loop.call_soon(self._next_pass)
        elif loop.time() - self._began >= SPELL:
            self._share = self._came - 1
            return False
        return True

    async def queue(self) -> None:
        """Stand in line, once `admits` has said so, until one is let in."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[turn] = None
        try:
            await turn
        finally:
            del self._line[turn]

    def _next_pass(self) -> None:
        """Let in as many as the last spell did; it comes again while somebody stands in line.

        Whoever is let in leaves the line with their next step, so that nobody who comes sooner than that overtakes.
        """
        self._came = 0
        for turn in list(islice(self._line, self._share)):
            resolve(turn)
        if self._line:
            asyncio.get_running_loop().call_soon(self._next_pass)


_GATES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AdmissionGate] = weakref.WeakKeyDictionary()
