"""One message, from its receipt to its end here: tried, kept in flight or returned, and what of it is said aloud."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from typing import Any, Protocol

import attrs

from aioecs import CancelToken
from aioecs._model.arn import short
from aioecs.worker._job_decisions import LONGEST_INVISIBLE, Fate, Happened, Lease, delay, is_last
from aioecs.worker._job_starter import AttemptResult, Job
from aioecs.worker._shutdown import Ending
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.order import Order, Place
from aioecs.worker._sqs.queue import Outbox
from aioecs.worker._statistics import Counters

log = logging.getLogger("aioecs")


@attrs.frozen
class _End:
    """How a message ends here: deleted (None), or back after so many seconds."""

    back_in: float | None
    over: bool = False
    """Whether the next one of its group may begin."""


class Tries(Protocol):
    """What tries a message's job."""

    async def attempt(self, job: Job, stop: CancelToken) -> AttemptResult:
        """Try it once, and say what is to be done about the message."""
        ...


class MessageHandler:
    """Carries messages out for one run of a worker.

    Args:
        url: the queue, for the log.
        starter: what starts their jobs.
        outbox: what they are parted with through.
        ending: whether the worker is to end.
        counters: what is counted.
        lease: how long a job is held.
        visibility: how long a message is hidden from others by each extension, in seconds.
        most: after how many receives the queue's redrive policy takes a message; None if it has none.
    """

    def __init__(
        self,
        url: str,
        *,
        starter: Tries,
        outbox: Outbox,
        ending: Ending,
        counters: Counters,
        lease: Lease,
        visibility: float,
        most: int | None,
    ) -> None:
        self._url = url
        self._starter = starter
        self._outbox = outbox
        self._ending = ending
        self._counters = counters
        self._lease = lease
        self._visibility = visibility
        self._most = most
        self._order = Order()

    def carry(self, message: Message) -> Coroutine[Any, Any, None]:
        """Return what sees to one message, from its receipt to its end here; cut off, it is returned.

        Call it in the order in which they came: of a FIFO group each waits for the one before.
        """
        return self._carry(message, self._order.enter(message))

    async def _carry(self, message: Message, place: Place) -> None:
        job = Job(message)
        self._outbox.keep(message)
        try:
            back_in = await place.turn()
            end = await self._seen_to(job, place) if back_in is None else self._followed(message, back_in)
        except asyncio.CancelledError:
            # Where an intent may stand, others have to wait for the end of its lease.
            back_in = max(0.0, job.lease + self._lease.skew - time.time()) if job.lease else 0.0
            place.leave(back_in)
            self.leave(message, back_in)
            raise
        place.leave(None if end.over else end.back_in)
        back_in = end.back_in
        gone = self._outbox.part(message, back_in)
        if await gone:
            self._counters.count(deleted=int(back_in is None), returned=int(back_in is not None))

    def leave(self, message: Message, back_in: float = 0.0) -> None:
        """Give a message back that is not settled as the worker ends, visible after so many seconds."""
        self._counters.leave(message)
        self._outbox.part(message, back_in)

    def _followed(self, message: Message, back_in: float) -> _End:
        """Go back behind one of the same group, not begun."""
        if self._ending.begun:
            self._counters.leave(message)
        log.info("message %s goes back, behind an earlier one of its group", message.id)
        return _End(back_in)

    async def _seen_to(self, job: Job, place: Place) -> _End:
        """Try until it is settled, or is to go back."""
        since, tries = time.time(), job.message.receives
        while True:
            tried = await self._tried(job)
            if tried.fate is Fate.DELETE:
                return _End(None, over=True)
            lease, skew = job.lease, self._lease.skew
            seconds = delay(tried.fate, tries=tries, jitter=random.random(), now=time.time(), lease=lease, skew=skew)
            if not self._keeps(job, place, tried, time.time() + seconds - since):
                if self._ending.begun:
                    self._counters.leave(job.message)
                return self._given_back(job.message, tried, seconds)
            await self._ending.rest(seconds)
            tries += 1

    def _given_back(self, message: Message, tried: AttemptResult, seconds: float) -> _End:
        """Return how it goes back: a poisoned one of a group that the queue takes now is out of the others' way."""
        last = tried.fate is Fate.REDRIVE and message.group_id is not None and is_last(message.receives, self._most)
        return _End(0.0, over=True) if last else _End(seconds)

    async def _tried(self, job: Job) -> AttemptResult:
        try:
            tried = await self._starter.attempt(job, self._ending.token)
        except Exception:
            # Nobody's fault that is known: what stands in the ledger stays, and no other message suffers.
            log.exception("worker of %s: message %s failed unforeseen", self._url, job.message.id)
            tried = AttemptResult(Happened.UNKNOWN, Fate.LEASE if job.lease else Fate.GROWING)
        self._tell(job.message, tried)
        return tried

    def _keeps(self, job: Job, place: Place, tried: AttemptResult, age: float) -> bool:
        """Tell whether to keep it in flight and try again: the queue would take it, or a double is to be stopped."""
        if self._ending.begun or age > LONGEST_INVISIBLE - self._visibility:
            return False
        waits = tried.fate in (Fate.GROWING, Fate.LEASE, Fate.AT_ONCE)
        return waits and (bool(job.ours) or place.presses(self._most))

    def _tell(self, message: Message, tried: AttemptResult) -> None:
        """Count it, and say aloud what somebody should hear."""
        self._count(tried)
        _say(message, tried)

    def _count(self, tried: AttemptResult) -> None:
        happened = tried.happened
        self._counters.count(
            started=int(happened is Happened.STARTED) + tried.started,
            succeeded=int(happened is Happened.SUCCEEDED),
            failed=int(happened is Happened.FAILED),
            already_settled=int(happened is Happened.SETTLED),
            unknown=int(happened in (Happened.UNKNOWN, Happened.FORGOTTEN, Happened.END_UNKNOWN)),
            dead_lettered=int(tried.fate is Fate.REDRIVE),
        )
        if tried.reasons:
            self._counters.refused(tried.reasons)
        if tried.fatal is not None:
            self._ending.fail(tried.fatal)
        if happened is Happened.LEDGER_DOWN:
            if self._counters.ledger_failed():
                text = "worker of %s: the ledger can't be reached, nothing is started meanwhile: %s"
                log.error(text, self._url, tried.why)
        elif happened in (Happened.STARTED, Happened.NO_ROOM):
            self._counters.ledger_granted()


def _say(message: Message, tried: AttemptResult) -> None:
    """Log what a try came to, at the level of who should hear it."""
    happened = tried.happened
    why = f": {tried.why}" if tried.why else ""
    if happened is Happened.STARTED:
        log.info("message %s: started %s", message.id, ", ".join(map(short, tried.arns)))
    elif happened is Happened.SUCCEEDED:
        log.info("message %s: %s succeeded", message.id, ", ".join(map(short, tried.arns)))
    elif happened is Happened.SETTLED:
        log.info("message %s: its job was started before", message.id)
    elif happened is Happened.FORGOTTEN:
        log.error("message %s: UNKNOWN whether it was started, and too long ago to ask ECS; not started", message.id)
    elif tried.fate is Fate.REDRIVE:
        log.warning("message %s is left to the redrive policy, %s%s", message.id, happened, why)
    elif happened in (Happened.UNKNOWN, Happened.PARTLY, Happened.LOST, Happened.FORBIDDEN):
        log.warning("message %s goes back, %s%s", message.id, happened, why)
    elif tried.fate is not Fate.DELETE:
        log.info("message %s goes back, %s%s", message.id, happened, why)
