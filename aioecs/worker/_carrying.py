"""One message, from its receipt to its end here: tried, kept in hand or given back, and what of it is said aloud."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from aioecs.worker._ending import Ending
from aioecs.worker._jobs import LONGEST_INVISIBLE, Fate, Happened, Lease, delay, is_last
from aioecs.worker._message import Message
from aioecs.worker._queue import Outbox
from aioecs.worker._starting import Job, Starter, Tried
from aioecs.worker._statistics import Tally

log = logging.getLogger("aioecs")


class Carrier:
    """Carries messages out for one run of a worker.

    Args:
        url: the queue, for the log.
        starter: what starts their jobs.
        outbox: what they are parted with through.
        ending: whether the worker is to end.
        tally: what is counted.
        lease: how long a job is held.
        visibility: how long a message is hidden from others by each extension, in seconds.
        most: after how many receives the queue's redrive policy takes a message; None if it has none.
    """

    def __init__(
        self,
        url: str,
        *,
        starter: Starter,
        outbox: Outbox,
        ending: Ending,
        tally: Tally,
        lease: Lease,
        visibility: float,
        most: int | None,
    ) -> None:
        self._url = url
        self._starter = starter
        self._outbox = outbox
        self._ending = ending
        self._tally = tally
        self._lease = lease
        self._visibility = visibility
        self._most = most

    async def carry(self, message: Message) -> None:
        """See to one message, from its receipt to its end here; cut off, it is given back."""
        job = Job(message)
        self._outbox.keep(message)
        try:
            back_in = await self._seen_to(job)
        except asyncio.CancelledError:
            # Where an intent may stand, others have to wait for the end of its lease.
            self.leave(message, max(0.0, job.lease + self._lease.skew - time.time()) if job.lease else 0.0)
            raise
        gone = self._outbox.part(message, back_in)
        if await gone:
            self._tally.count(deleted=int(back_in is None), given_back=int(back_in is not None))

    def leave(self, message: Message, back_in: float = 0.0) -> None:
        """Give a message back that is not settled as the worker ends, visible after so many seconds."""
        self._tally.leave(message)
        self._outbox.part(message, back_in)

    async def _seen_to(self, job: Job) -> float | None:
        """Try until it is settled (None), or is to go back after so many seconds."""
        since, tries = time.time(), job.message.receives
        while True:
            tried = await self._tried(job)
            if tried.fate is Fate.DELETE:
                return None
            lease, skew = job.lease, self._lease.skew
            seconds = delay(tried.fate, tries=tries, dice=random.random(), now=time.time(), lease=lease, skew=skew)
            if not self._keeps(job, tried, time.time() + seconds - since):
                if self._ending.begun:
                    self._tally.leave(job.message)
                return seconds
            await self._ending.rest(seconds)
            tries += 1

    async def _tried(self, job: Job) -> Tried:
        try:
            tried = await self._starter.attempt(job, self._ending.token)
        except Exception:
            # Nobody's fault that is known: what stands in the ledger stays, and no other message suffers.
            log.exception("worker of %s: message %s failed unforeseen", self._url, job.message.id)
            tried = Tried(Happened.UNKNOWN, Fate.LEASE if job.lease else Fate.GROWING)
        self._tell(job.message, tried)
        return tried

    def _keeps(self, job: Job, tried: Tried, age: float) -> bool:
        """Tell whether to keep it in hand and try again: the queue would take it, or a double is to be stopped."""
        if self._ending.begun or age > LONGEST_INVISIBLE - self._visibility:
            return False
        waits = tried.fate in (Fate.GROWING, Fate.LEASE, Fate.AT_ONCE)
        return waits and (bool(job.ours) or is_last(job.message.receives, self._most))

    def _tell(self, message: Message, tried: Tried) -> None:
        """Count it, and say aloud what somebody should hear."""
        happened = tried.happened
        self._tally.count(
            started=int(happened is Happened.STARTED),
            found_settled=int(happened is Happened.SETTLED),
            unknown=int(happened in (Happened.UNKNOWN, Happened.FORGOTTEN)),
            left_to_redrive=int(tried.fate is Fate.REDRIVE),
        )
        if happened is Happened.LEDGER_DOWN:
            if self._tally.ledger_failed():
                text = "worker of %s: the ledger can't be reached, nothing is started meanwhile: %s"
                log.error(text, self._url, tried.why)
        elif happened in (Happened.STARTED, Happened.NO_ROOM):
            self._tally.ledger_granted()
        why = f": {tried.why}" if tried.why else ""
        if happened is Happened.FORGOTTEN:
            log.error(
                "message %s: UNKNOWN whether it was started, and too long ago to ask ECS; not started", message.id
            )
        elif tried.fate is Fate.REDRIVE:
            log.warning("message %s is left to the redrive policy, %s%s", message.id, happened, why)
        elif happened in (Happened.UNKNOWN, Happened.PARTLY, Happened.LOST, Happened.FORBIDDEN):
            log.warning("message %s goes back, %s%s", message.id, happened, why)
